"""Decode what several people see from their fMRI, with one model for all of them.

>>> import mused
>>> data = mused.Dataset(labels=labels)                  # DataFrame: stimuli x labels, 0 or 1
>>> for name in betas:
...     data.add(name, betas[name], stimulus=shown[name], roi=rois[name])
>>> print(data.check())
>>> run = mused.train(data, "runs/first", folds=5)
>>> run.scores(); run.labels(); print(run)
"""

from ._benchmark import Benchmark, benchmark
from ._dataset import Dataset
from ._errors import ConfigError, DataError, Interrupted, LeakageError, MusedError
from ._imports import import_bids, import_hcp, import_npy, import_nsd, import_rdm
from ._mused import __version__
from ._mused import models as _models
from ._run import Run, from_pretrained, train

__all__ = [
    "Benchmark",
    "ConfigError",
    "DataError",
    "Dataset",
    "Interrupted",
    "LeakageError",
    "MusedError",
    "Run",
    "__version__",
    "benchmark",
    "from_pretrained",
    "import_bids",
    "import_hcp",
    "import_npy",
    "import_nsd",
    "import_rdm",
    "models",
    "train",
]


def models() -> dict[str, str]:
    """Names of the models that `train` and `benchmark` take, and what they are."""
    return dict(_models())
