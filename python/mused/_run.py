from __future__ import annotations

import io
import json
import tempfile
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from . import _mused
from ._dataset import Dataset
from ._errors import DataError
from ._progress import Listener
from ._settings import configured
from ._tables import pandas
from ._weights import Inputs, Weights

METRICS = {
    "average_precision": "macro AP",
    "roc_auc": "macro AUC",
    "hamming_loss": "Hamming loss",
    "subset_accuracy": "subset accuracy",
    "micro_average_precision": "micro AP",
}


def train(
    dataset: Dataset,
    out: str | PathLike[str],
    model: str = "default",
    folds: int | None = None,
    *,
    preset: str = "default",
    threads: int | None = None,
    progress: bool = True,
    **settings: Any,
) -> Run:
    """Trains a model of all subjects in the folder `out`, and ridge regression beside a network.

    The same call on the same data keeps what is complete and goes on with what was stopped, to the same bits; other
    settings or data are refused. Ctrl-C stops and saves (`Interrupted`).

    Parameters
    ----------
    model
        One of `mused.models()`.
    folds
        Folds of a cross-validation over groups of stimuli; without it, one division into training and test part.
    settings
        Any key of the configuration (`mused config` lists them): `train_epochs=50` is `train.epochs`.
    """
    with Listener(progress) as listener:
        run = _mused.train(dataset._data, out, configured(model, folds, preset, threads, settings), listener)
    return Run(run, dataset)


class Run:
    """A trained model and its scores: a run directory, which the command `mused` reads too."""

    def __init__(self, run: _mused.Run, dataset: Dataset | None = None) -> None:
        self._run = run
        self._dataset = dataset
        self._results: dict[str, Any] | None = None

    @classmethod
    def open(cls, path: str | PathLike[str], dataset: Dataset | None = None) -> Run:
        """A run directory. `dataset` is needed where the run was made of arrays, and only by `regions` and `adapt`."""
        return cls(_mused.Run.open(path), dataset)

    @property
    def path(self) -> str:
        """The run directory."""
        return str(self._run.path)

    @property
    def ridge(self) -> Run | None:
        """The ridge regression that was trained beside a network."""
        ridge = self._run.ridge()
        return None if ridge is None else Run(ridge, self._dataset)

    @property
    def results(self) -> dict[str, Any]:
        """Everything that `results.json` holds; scored the first time."""
        if self._results is None:
            self._results = json.loads(self._run.results())
        return self._results

    @property
    def sentences(self) -> list[str]:
        """What the scores say: how well, which labels, from whom, and against ridge regression."""
        return self._run.words()

    def scores(self) -> Any:
        """Metrics over subjects: mean, standard deviation, 95 % interval, p, and what knowing nothing scores."""
        results = self.results
        floors, inference = results["floors"], results["inference"]
        floor = {
            "average_precision": floors["random_average_precision"],
            "roc_auc": floors["roc_auc"],
            "hamming_loss": floors["hamming_loss"],
        }
        rows = {}
        for key, name in METRICS.items():
            scored, inferred = results["macro"][key], inference.get(key, {})
            rows[name] = {
                "score": scored["mean"],
                "sd": scored["sd"],
                "floor": floor.get(key),
                **_interval(inferred.get("interval")),
                "p": _stated(inferred.get("permutation"), "p"),
            }
        if results.get("accuracy"):
            found = results["accuracy"]
            rows["accuracy"] = {
                "score": found["scores"]["mean"],
                "sd": found["scores"]["sd"],
                "floor": found["most_frequent"],
                **_interval(found["interval"]),
                "p": _stated(found["permutation"], "p"),
            }
        return _table(rows, "metric")

    def labels(self) -> Any:
        """A row a label: prevalence, AP and AUC over subjects, the AUC's interval, p and q (false discovery rate)."""
        rows = {}
        for label in self.results["labels"]:
            test = label.get("roc_auc_test")
            rows[label["name"]] = {
                "positives": label["positives"],
                "prevalence": label["prevalence"],
                "AP": label["average_precision"],
                "AUC": label["roc_auc"],
                **_interval(label.get("roc_auc_interval")),
                "p": _stated(test, "p"),
                "q": _stated(test, "q"),
            }
        return _table(rows, "label")

    def subjects(self) -> Any:
        """A row a subject."""
        rows = {
            name: {
                "samples": subject["samples"],
                "AP": subject["average_precision"],
                "AUC": subject["roc_auc"],
                "Hamming loss": subject["hamming_loss"],
                "subset accuracy": subject["subset_accuracy"],
            }
            for name, subject in self.results["subjects"].items()
        }
        return _table(rows, "subject")

    def regions(self, label: str | None = None, fold: int = 0) -> Any:
        """A row a region: what macro AP and AUC lose without it, or the AUC of a `label`, with 95 % intervals.

        Writes the folder `explain/` of the run.
        """
        names = [found["name"] for found in self.results["labels"]]
        if label is not None and label not in names:
            raise DataError(f"label: expected one of {', '.join(names)}, found {label!r}")
        drops, _notes = self._run.explain(self.dataset._data, fold)
        rows = {}
        for part, precision, auc, labels in drops:
            if label is None:
                rows[part] = dict(zip(("AP lost", "AP low", "AP high"), precision, strict=True))
            else:
                low, mean, high = labels[names.index(label)] or (None, None, None)
                auc = [mean, low, high]
                rows[part] = {}
            rows[part].update(zip(("AUC lost", "AUC low", "AUC high"), auc, strict=True))
        return _table(rows, "region").sort_values("AUC lost", ascending=False)

    @property
    def dataset(self) -> Dataset:
        """The data that it was trained on."""
        if self._dataset is None:
            self._dataset = Dataset._of(self._run.dataset())
        return self._dataset

    def predictions(self) -> Any:
        """Probabilities of the test samples, each by the model that did not learn from it."""
        return _probabilities(*self._run.predictions())

    def predict(self, data: Dataset | Any, subject: str | None = None, roi: Any = None) -> Any:
        """Probabilities of labels, the mean over the run's models.

        `data` is a Dataset: a row a subject and stimulus, over repeats; or responses of a `subject`, trials x voxels: a row
        a trial. `subject` may be left out where the run is of one person. What was trained on is predicted too: scores are
        those of `scores`.
        """
        if isinstance(data, Dataset):
            return _probabilities(*self._run.predict(data._data))
        if subject is None and len(self.results["subjects"]) == 1:
            subject = next(iter(self.results["subjects"]))
        if subject is None:
            raise DataError("subject: expected the name of a subject of the run, whose responses these are, found none")
        names = [label["name"] for label in self.results["labels"]]
        return pandas().DataFrame(self.probabilities(data, subject, roi, names), columns=names)

    def probabilities(self, responses: Any, subject: str, roi: Any, labels: list[str]) -> np.ndarray:
        """As `predict` of responses, without a table: trials x labels, which are the run's."""
        trials = [str(trial) for trial in range(len(responses))]
        unlabelled = Dataset(np.zeros((len(trials), len(labels)), dtype=np.uint8), labels, stimuli=trials)
        unlabelled.add(subject, responses, stimulus=trials, roi=roi)
        _, rows, values = self._run.predict(unlabelled._data)
        place = {trial: row for row, (_, trial) in enumerate(rows)}
        return values[[place[trial] for trial in trials]]

    def adapt(
        self,
        responses: Any,
        stimulus: Any,
        out: str | PathLike[str] | None = None,
        *,
        subject: str = "new",
        roi: Any = None,
        run: Any = None,
        session: Any = None,
        trials: int | str = "all",
        draw: int = 0,
    ) -> Run:
        """A run for a person it was not trained on, in the folder `out`; by default beside the run, under its name and the
        person's.

        The person's regions are mapped from trials of training stimuli, the network stays as it is; trials of test
        stimuli are tested. `trials` bounds the training stimuli that are learned from.
        """
        person = self.dataset.without_subjects()
        person.add(subject, responses, stimulus=stimulus, roi=roi, run=run, session=session)
        out = f"{self.path}-{subject}" if out is None else out
        return Run(self._run.adapt(person._data, subject, str(trials), draw, out), person)

    def report(self, path: str | PathLike[str], *others: Run, figures: str | PathLike[str] | None = None) -> str:
        """Writes the page of this run, beside others where they are given, and returns where it is; each figure as SVG, PNG
        and TSV in the folder `figures`, where that is given."""
        self._run.report(path, [other.path for other in others], figures)
        return str(path)

    @property
    def models(self) -> list[str]:
        """Names of its models: one a fold, and a person where each has one of their own."""
        return [name for name, _fold, _person in self._run.models]

    def weights(self, model: str | None = None) -> Weights:
        """Weights of a model, by default the first; `mused.torch` makes a PyTorch module of them."""
        return Weights(*self._run.weights(model or self.models[0]))

    def inputs(self, data: Dataset, model: str | None = None) -> Inputs:
        """What a model, by default the first, reads of everything in `data`: z-scored, mapped, region by region."""
        return Inputs(*self._run.inputs(model or self.models[0], data._data))

    def with_weights(self, weights: dict[str, Any], out: str | PathLike[str]) -> Run:
        """A run in the folder `out` whose models have other weights: by name of the model a state dict (of several networks
        a list of them), of arrays or PyTorch tensors. Test samples are predicted anew."""
        unknown = sorted(set(weights) - set(self.models))
        if unknown:
            raise DataError(f"weights: expected names of models, {', '.join(self.models)}, found {unknown[0]!r}")
        replaced = []
        for model in self.models:
            own = self.weights(model)
            replaced.append(own.replaced(weights[model]) if model in weights else list(own.tensors.items()))
        return Run(self._run.reweighed(self.dataset._data, replaced, out), self._dataset)

    def save_pretrained(self, path: str | PathLike[str], *, licence: str | None = None, citation: str | None = None) -> str:
        """A folder to share, in Hugging Face's layout: `README.md`, a model card with data, split, scores and intervals;
        `config.json`; `model.safetensors`; and the run, which `mused.from_pretrained` opens.

        `licence` and `citation` are of the data; without them, what the dataset says. `huggingface_hub` uploads the
        folder: `HfApi().upload_folder(folder_path=path, repo_id=...)`.
        """
        from ._sharing import save

        return save(self, Path(path), licence, citation)

    def figures(self) -> dict[str, Figure]:
        """The figures of the report by name, as SVG, which notebooks show, each with the table that it draws."""
        with tempfile.TemporaryDirectory() as folder:
            self.report(Path(folder, "report.html"), figures=Path(folder, "figures"))
            files = sorted(Path(folder, "figures").glob("*.svg"))
            return {file.stem: Figure(file) for file in files}

    def plot(self, what: str = "labels", ax: Any = None) -> Any:
        """A matplotlib plot of the AUC of "labels", with 95 % intervals, or of "subjects"; returns the axes."""
        if what not in ("labels", "subjects"):
            raise DataError(f"what: expected 'labels' or 'subjects', found {what!r}")
        table = (self.labels() if what == "labels" else self.subjects()).sort_values("AUC")
        if ax is None:
            from matplotlib import pyplot

            ax = pyplot.subplots(figsize=(5, 1 + 0.25 * len(table)), layout="constrained")[1]
        if what == "labels":
            ax.hlines(table.index, table["low"].astype(float), table["high"].astype(float), color="0.6")
        ax.plot(table["AUC"].astype(float), table.index, "o", color="C0")
        ax.axvline(0.5, color="0.8", zorder=0)
        ax.set_xlabel("AUC (0.5: knowing nothing)" + ("; line: 95 % interval" if what == "labels" else ""))
        return ax

    def __repr__(self) -> str:
        return f"<mused.Run {self.path}>"

    def __str__(self) -> str:
        return "\n".join(self.sentences) if self._run.is_complete else f"{self.path}: training is not complete"

    def _repr_html_(self) -> str:
        if not self._run.is_complete:
            return f"<p>{escape(str(self))}</p>"
        words = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.sentences)
        table = self.scores().to_html(float_format="{:.3f}".format, na_rep="–")
        return f"<div><p><b>{escape(self.path)}</b></p>{words}{table}</div>"


class Figure:
    """A figure of the report."""

    def __init__(self, file: Path) -> None:
        self.svg: str = file.read_text(encoding="utf-8")
        """As SVG, which needs nothing beside it."""
        self._data = file.with_suffix(".tsv").read_text(encoding="utf-8")

    def table(self) -> Any:
        """What it draws."""
        return pandas().read_csv(io.StringIO(self._data), sep="\t")

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the SVG."""
        Path(path).write_text(self.svg, encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg


def from_pretrained(path: str | PathLike[str]) -> Run:
    """The run in a folder that `save_pretrained` made; of Hugging Face's hub: `huggingface_hub.snapshot_download(name)`."""
    run = Path(path) / "run"
    if not (run / "run.json").is_file():
        raise DataError(
            f"{path}: expected a folder that `save_pretrained` made, with a folder run/ in it; download a shared one first: "
            f"huggingface_hub.snapshot_download({str(path)!r})",
            path,
        )
    return Run.open(run)


def _stated(value: Any, key: str) -> Any:
    """A number that may be stated as unavailable."""
    return None if value is None else value.get(key)


def _interval(value: Any) -> dict[str, Any]:
    return {"low": _stated(value, "low"), "high": _stated(value, "high")}


def _table(rows: dict[str, dict[str, Any]], index: str) -> Any:
    frame = pandas().DataFrame.from_dict(rows, orient="index").astype(float, errors="ignore")
    return frame.rename_axis(index)


def _probabilities(labels: list[str], rows: list[tuple[str, str]], values: np.ndarray) -> Any:
    module = pandas()
    index = module.MultiIndex.from_tuples(rows, names=["subject", "stimulus"])
    return module.DataFrame(values, index=index, columns=labels)
