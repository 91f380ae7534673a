"""Imports of published files, with the options of `mused import`."""

from __future__ import annotations

import logging
import os
from os import PathLike
from typing import Any

from . import _mused
from ._dataset import Dataset
from ._errors import ConfigError

log = logging.getLogger("mused")


def import_bids(root: str | PathLike[str], out: str | PathLike[str], **options: Any) -> Dataset:
    """Preprocessed BOLD runs and their events, in BIDS or by patterns, as a dataset in the folder `out`.

    Options are those of `mused import bids --help`: `task="movie"`, `roi=["V1=masks/{subject}.nii.gz"]`, `betas="lss"`,
    `zscore=True`. Lists are given for what may be repeated.
    """
    return _imported("bids", [root, out], options)


def import_nsd(root: str | PathLike[str], out: str | PathLike[str], **options: Any) -> Dataset:
    """The Natural Scenes Dataset as released, as a dataset in the folder `out`; options of `mused import nsd --help`."""
    return _imported("nsd", [root, out], options)


def import_hcp(root: str | PathLike[str], out: str | PathLike[str], **options: Any) -> Dataset:
    """The Human Connectome Project's 7T movie runs, as a dataset in `out`; options of `mused import hcp --help`."""
    return _imported("hcp", [root, out], options)


def import_npy(folder: str | PathLike[str], out: str | PathLike[str], **options: Any) -> Dataset:
    """NumPy arrays and tables in a folder, as a dataset in the folder `out`; options of `mused import npy --help`."""
    return _imported("npy", [folder, out], options)


def import_rdm(manifest: str | PathLike[str], out: str | PathLike[str], **options: Any) -> Dataset:
    """Data published as dissimilarity matrices, as a dataset in the folder `out`; options of `mused import rdm --help`."""
    return _imported("rdm", [manifest, out], options)


def _imported(source: str, places: list[Any], options: dict[str, Any]) -> Dataset:
    arguments = [source]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(one, bool):
                arguments += [flag] if one else []
            elif isinstance(one, (str, int, float, os.PathLike)):
                # In one argument: a value may begin with a dash.
                arguments.append(f"{flag}={os.fspath(one) if isinstance(one, os.PathLike) else one}")
            elif one is not None:
                raise ConfigError(f"{name}: expected a text, a number, True, False or a list of these, found {one!r}")
    arguments += ["--", *(os.fspath(place) for place in places)]
    data, notes, warnings = _mused.import_files(arguments, places[1])
    for note in notes:
        log.info("%s", note)
    for warning in warnings:
        log.warning("%s", warning)
    return Dataset._of(data)
