from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

from . import _mused
from ._dataset import Dataset
from ._errors import MusedError
from ._progress import Listener
from ._run import Run
from ._settings import configured
from ._tables import pandas

METRICS = {"macro AP": "average_precision", "macro AUC": "roc_auc", "Hamming loss": "hamming_loss"}


def benchmark(
    dataset: Dataset,
    models: Sequence[str],
    out: str | PathLike[str] = "mused-benchmark",
    folds: int | None = None,
    *,
    seeds: Sequence[int] = (0,),
    budget: int = 1,
    preset: str = "default",
    threads: int | None = None,
    progress: bool = True,
    **settings: Any,
) -> Benchmark:
    """Trains several models on the same folds, and holds them against the first and against ridge regression.

    Runs lie in the folder `out`: what is complete is kept, what was stopped goes on. Where networks are compared and no
    ridge regression is named, it is added (`train_ridge=False` leaves it out). With a `budget` above 1 each run's settings
    are chosen from as many candidates by validation.
    """
    if isinstance(models, str):
        models = [models]
    with Listener(progress) as listener:
        found = _mused.benchmark(
            dataset._data,
            out,
            list(models),
            [int(seed) for seed in seeds],
            budget,
            configured(None, folds, preset, threads, settings),
            listener,
        )
    return Benchmark(dataset, *found)


class Benchmark:
    """Models compared on the same folds."""

    def __init__(
        self,
        dataset: Dataset,
        entries: list[tuple[str, int, Any, str | None]],
        differences: list[Any],
        sentences: list[str],
    ) -> None:
        self.runs: dict[str, dict[int, Run]] = {}
        """Runs by model and seed."""
        self.failures: dict[tuple[str, int], str] = {}
        """Why a run of a model and seed has no scores."""
        for model, seed, path, failure in entries:
            if failure is None:
                self.runs.setdefault(model, {})[seed] = Run.open(path, dataset)
            else:
                self.failures[model, seed] = failure
        self.sentences: list[str] = sentences
        """Who is ahead, in words."""
        self._differences = differences

    def table(self) -> Any:
        """A row a model: means over seeds of macro AP, AUC and Hamming loss, with the 95 % interval and p of the AP where
        there is one seed."""
        rows = {}
        for model, runs in self.runs.items():
            scores = [run.results for run in runs.values()]
            row: dict[str, Any] = {"seeds": len(scores)}
            for name, key in METRICS.items():
                values = [result["macro"][key]["mean"] for result in scores]
                known = [value for value in values if value is not None]
                row[name] = sum(known) / len(known) if known else None
            if len(scores) == 1:
                found = scores[0]["inference"]["average_precision"]
                row["low"], row["high"] = found["interval"].get("low"), found["interval"].get("high")
                row["p"] = found["permutation"].get("p")
            rows[model] = row
        return pandas().DataFrame.from_dict(rows, orient="index").rename_axis("model")

    def differences(self) -> Any:
        """A row a model and metric: its difference from the first model with a 95 % interval, and p for other subjects,
        other stimuli, and both."""
        rows = [
            {
                "model": model,
                "metric": metric,
                "seeds": seeds,
                **dict(zip(("difference", "low", "high"), interval or (None,) * 3, strict=True)),
                **dict(zip(("p over subjects", "p over stimuli", "p over both"), p, strict=True)),
            }
            for model, metric, seeds, interval, p in self._differences
        ]
        return pandas().DataFrame(rows).set_index(["model", "metric"]) if rows else pandas().DataFrame()

    @property
    def best(self) -> Run:
        """The first run of the model with the highest macro AP; being chosen by it, that score flatters it."""

        def score(runs: dict[int, Run]) -> float:
            values = [run.results["macro"]["average_precision"]["mean"] for run in runs.values()]
            return sum(value or 0.0 for value in values) / len(values)

        if not self.runs:
            raise MusedError("no model has scores; `failures` says why")
        return next(iter(max(self.runs.values(), key=score).values()))

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    def __repr__(self) -> str:
        return f"<mused.Benchmark of {', '.join(self.runs)}>"

    def _repr_html_(self) -> str:
        return self.table().to_html(float_format="{:.3f}".format, na_rep="–")
