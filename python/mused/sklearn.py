"""mused as an estimator of scikit-learn."""

from __future__ import annotations

import io
import logging
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import _arrays, _mused
from ._dataset import Dataset
from ._errors import DataError
from ._progress import Listener
from ._run import Run
from ._settings import configured

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import type_of_target
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("mused.sklearn needs scikit-learn 1.6 or newer: `pip install -U scikit-learn`") from error

__all__ = ["MusedDecoder", "stacked"]

ONE = "subject"
"""What the person is called where there is one."""
UNSEEN = "mused: no stimulus"
"""Stands for the test part that a run has, answered by each person's mean: an estimator learns from all that it is given."""
ACCEPTED = {"dtype": [np.float32, np.float64], "ensure_all_finite": "allow-nan"}


def stacked(people: Mapping[str, Any], width: int = 0) -> tuple[np.ndarray, list[str]]:
    """X and `subject` of people with voxels of their own: rows one below the other, missing columns (to the widest person's,
    or to `width`) filled with NaN."""
    arrays = {name: _arrays.numbers(f"responses of {name!r}", array, "trials x voxels") for name, array in people.items()}
    if not arrays:
        raise DataError("people: expected at least one, found none")
    widest = max(width, *(array.shape[1] for array in arrays.values()))
    rows = [np.pad(array, ((0, 0), (0, widest - array.shape[1])), constant_values=np.nan) for array in arrays.values()]
    return np.vstack(rows), [name for name, array in arrays.items() for _ in array]


def _people(X: Any, subject: Any) -> dict[str, Any] | None:
    """The arrays that a dict or list has, a subject each; None of one array of rows."""
    # A sparse matrix of scikit-learn's kind may be a dict too.
    if isinstance(X, Mapping) and not hasattr(X, "ndim"):
        if subject is not None:
            raise DataError("subject: expected none, since X is a dict that names the subjects, found some")
        return {str(name): array for name, array in X.items()}
    if not isinstance(X, (list, tuple)) or not X or any(getattr(array, "ndim", 0) != 2 for array in X):
        return None
    if subject is None:
        return {f"subject {number}": array for number, array in enumerate(X, 1)}
    people = dict(zip(_arrays.names("subject", subject, len(X), "arrays of X"), X, strict=True))
    if len(people) < len(X):
        raise DataError(f"subject: expected {len(X)} different names, one an array of X, found {len(people)}")
    return people


def _below(argument: str, given: Any, people: Mapping[str, Any]) -> Any:
    """What each subject's rows have, one below the other: of a dict or list of theirs, or as it is."""
    counts = {name: len(array) for name, array in people.items()}
    if given is None or (not isinstance(given, Mapping) and len(given) == sum(counts.values())):
        return given
    if not isinstance(given, Mapping):
        if len(given) != len(people):
            raise DataError(
                f"{argument}: expected {sum(counts.values())} rows, or the rows of each of {len(people)} subjects, found "
                f"{len(given)}"
            )
        given = dict(zip(people, given, strict=True))
    for name, count in counts.items():
        if name not in given:
            raise DataError(f"{argument}: expected that of subject {name!r}, found that of {', '.join(map(str, given))}")
        if len(given[name]) != count:
            raise DataError(f"{argument}: expected {count} rows of subject {name!r}, as X has, found {len(given[name])}")
    return np.concatenate([np.asarray(given[name]) for name in people])


class MusedDecoder(ClassifierMixin, BaseEstimator):
    """One model for all subjects, as a multi-label classifier; of a one-dimensional `y`, as a classifier.

    A row of X is a trial. `fit` and `predict` take `subject`, whose trial each row is. People may have other voxels in the
    same columns, and fewer: columns without a value in any row of a person are left out (see `stacked`). Whole `groups` of
    stimuli (a clip, a run) are set apart where weights are selected; `stimulus` says which rows show the same one: repeats,
    and what several people saw. To have these passed on by `cross_val_score` and `GridSearchCV`:
    `sklearn.set_config(enable_metadata_routing=True)` and `.set_fit_request(subject=True)`.

    X may also be a dict `{subject: rows x voxels}`, or a list of such arrays, one a subject: then `y`, `groups` and
    `stimulus` are dicts or lists alike (or those of all rows), and what is predicted comes back as a dict or list.
    `cross_val_score` and `GridSearchCV` divide X by rows, which neither has: give them `stacked(people)`.

    Parameters
    ----------
    model
        One of `mused.models()`.
    preset
        The configuration that `settings` change.
    settings
        A dict of keys of the configuration, such as `{"train.epochs": 50}`.
    roi
        The region of each column; None is one for all. A dict has those of each subject's own voxels.
    random_state
        Seed of weights, batches and dropout.
    threads
        None: all processors. The result does not depend on it.
    """

    def __init__(
        self,
        model: str = "default",
        *,
        preset: str = "default",
        settings: dict[str, Any] | None = None,
        roi: Any = None,
        random_state: int = 0,
        threads: int | None = None,
    ) -> None:
        self.model = model
        self.preset = preset
        self.settings = settings
        self.roi = roi
        self.random_state = random_state
        self.threads = threads

    def fit(self, X: Any, y: Any, subject: Any = None, groups: Any = None, stimulus: Any = None) -> MusedDecoder:
        """Trains on all rows. The run directory is `run_.path`, and lasts as long as the estimator."""
        people = _people(X, subject)
        if people is not None:
            X, subject = stacked(people)
            y, groups, stimulus = (
                _below(name, given, people) for name, given in (("y", y), ("groups", groups), ("stimulus", stimulus))
            )
        self.widths_ = {name: np.shape(array)[1] for name, array in (people or {}).items()}
        X, y = validate_data(self, X, y, multi_output=True, **ACCEPTED)
        matrix, names = self._labels(y)
        rows = len(X)
        subjects = self._subjects(subject, rows)
        shown = [f"row {row}" for row in range(rows)]
        if stimulus is not None:
            shown = _arrays.names("stimulus", stimulus, rows, "rows")
        stimuli, first, of = np.unique(shown, return_index=True, return_inverse=True)
        differs = np.flatnonzero((matrix != matrix[first[of]]).any(axis=1))
        if differs.size:
            raise DataError(f"y: expected the same labels for all rows of stimulus {shown[differs[0]]!r}, found others")
        grouped = list(stimuli)
        if groups is not None:
            given = np.array(_arrays.names("groups", groups, rows, "rows"))
            grouped = list(given[first])
            differs = np.flatnonzero(given != given[first[of]])
            if differs.size:
                raise DataError(f"groups: expected one group of stimulus {shown[differs[0]]!r}, found several")
        data = Dataset(
            np.vstack([matrix[first], np.zeros_like(matrix[:1])]),
            names,
            stimuli=[*stimuli, UNSEEN],
            groups=[*grouped, UNSEEN],
            split=["train"] * len(stimuli) + ["test"],
        )
        self.columns_: dict[str, np.ndarray] = {}
        for name in dict.fromkeys(subjects):
            own = [row for row in range(rows) if subjects[row] == name]
            self.columns_[name] = ~np.isnan(X[own]).all(axis=0)
            responses, roi = self._own(name, X[own])
            responses = np.vstack([responses, responses.mean(axis=0, keepdims=True)])
            data.add(name, responses, stimulus=[*(shown[row] for row in own), UNSEEN], roi=roi)
        folder = tempfile.mkdtemp(prefix="mused-")
        self._keep(folder)
        settings = {"train.ridge": False, "train.seed": self.random_state, **(self.settings or {})}
        asked = configured(self.model, None, self.preset, self.threads, settings)
        # Notes are of the test part, which is none.
        listener = Listener(show=False, notes=logging.INFO)
        self.run_ = Run(_mused.train(data._data, Path(folder) / "run", asked, listener), data)
        self.labels_ = names
        return self

    def predict_proba(self, X: Any, subject: Any = None) -> Any:
        """Probabilities, rows x labels; where `y` was one-dimensional, of its classes, which sum to 1."""
        return self._each(self._proba, X, subject)

    def decision_function(self, X: Any, subject: Any = None) -> Any:
        """Logits, rows x labels; of two classes, of the second alone."""
        return self._each(self._logits, X, subject)

    def predict(self, X: Any, subject: Any = None) -> Any:
        """Labels whose probability is above a half; where `y` was one-dimensional, the likeliest class."""
        return self._each(self._predicted, X, subject)

    def score(self, X: Any, y: Any, subject: Any = None, sample_weight: Any = None) -> float:
        """Accuracy: the share of rows with every label right."""
        from sklearn.metrics import accuracy_score

        people = _people(X, subject)
        if people is not None:
            y = _below("y", y, people)
            X, subject = self._stacked(people)
        return accuracy_score(y, self._predicted(X, subject), sample_weight=sample_weight)

    def _each(self, predict: Callable[[Any, Any], np.ndarray], X: Any, subject: Any) -> Any:
        """What is predicted of rows; of a dict or list of people, as one."""
        people = _people(X, subject)
        if people is None:
            return predict(X, subject)
        values = predict(*self._stacked(people))
        parts = np.split(values, np.cumsum([len(array) for array in people.values()])[:-1])
        return dict(zip(people, parts, strict=True)) if isinstance(X, Mapping) else parts

    def _stacked(self, people: Mapping[str, Any]) -> tuple[np.ndarray, list[str]]:
        """Rows of people as wide as those that were fitted."""
        check_is_fitted(self, "run_")
        rows, subject = stacked(people, self.n_features_in_)
        for name, array in people.items():
            self._known(name)
            expected, found = self.widths_.get(name, self.n_features_in_), np.shape(array)[1]
            if found != expected:
                raise DataError(f"X: expected {expected} voxels of subject {name!r}, as in fit, found {found}")
        return rows, subject

    def _proba(self, X: Any, subject: Any) -> np.ndarray:
        values = self._probabilities(X, subject)
        if self.multilabel_:
            return values
        if len(self.classes_) == 2:
            return np.column_stack([1 - values[:, 0], values[:, 0]])
        return values / values.sum(axis=1, keepdims=True)

    def _logits(self, X: Any, subject: Any) -> np.ndarray:
        values = np.clip(self._probabilities(X, subject), 1e-7, 1 - 1e-7)
        logits = np.log(values) - np.log1p(-values)
        return logits[:, 0] if len(self.classes_) == 2 and not self.multilabel_ else logits

    def _predicted(self, X: Any, subject: Any) -> np.ndarray:
        values = self._proba(X, subject)
        if self.multilabel_:
            return (values > 0.5).astype(int)
        return self.classes_[values.argmax(axis=1)]

    def _labels(self, y: np.ndarray) -> tuple[np.ndarray, list[str]]:
        kind = type_of_target(y, input_name="y")
        self.multilabel_ = kind == "multilabel-indicator"
        if self.multilabel_:
            self.classes_ = np.arange(y.shape[1])
            return np.asarray(y), [f"label {column}" for column in range(y.shape[1])]
        if kind not in ("binary", "multiclass"):
            raise ValueError(f"Unknown label type: y is {kind}; expected classes, or labels of 0 and 1 in columns")
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"y: expected at least two classes, found one class: {self.classes_[0]!r}")
        classes = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        return (np.ravel(y)[:, None] == classes).astype(int), [f"class {name}" for name in classes]

    def _subjects(self, subject: Any, rows: int) -> list[str]:
        return [ONE] * rows if subject is None else _arrays.names("subject", subject, rows, "rows")

    def _probabilities(self, X: Any, subject: Any) -> np.ndarray:
        check_is_fitted(self, "run_")
        X = validate_data(self, X, reset=False, **ACCEPTED)
        subjects = self._subjects(subject, len(X))
        values = np.empty((len(X), len(self.labels_)))
        for name in dict.fromkeys(subjects):
            own = [row for row, of in enumerate(subjects) if of == name]
            responses, roi = self._own(name, X[own])
            values[own] = self.run_.probabilities(responses, name, roi, self.labels_)
        return values

    def _own(self, subject: str, X: np.ndarray) -> tuple[np.ndarray, Any]:
        """The columns that a person had when fitted, and their regions."""
        self._known(subject)
        there = self.columns_[subject]
        X = X[:, there]
        if isinstance(self.roi, Mapping):
            if subject not in self.roi:
                raise DataError(f"roi: expected regions of subject {subject!r}, found those of {', '.join(self.roi)}")
            return X, self.roi[subject]
        if self.roi is None or isinstance(self.roi, str):
            return X, self.roi
        columns = _arrays.names("roi", self.roi, len(there), "columns")
        return X, [roi for roi, has in zip(columns, there, strict=True) if has]

    def _known(self, subject: str) -> None:
        if subject not in self.columns_:
            raise DataError(f"subject: expected one of {', '.join(self.columns_)}, found {subject!r}")

    def _keep(self, folder: str) -> None:
        """Until the estimator is gone."""
        self._folder = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __getstate__(self) -> dict[str, Any]:
        """With the files of the run in it."""
        state = dict(super().__getstate__())
        state.pop("_folder", None)
        run = state.pop("run_", None)
        if run is not None:
            root, packed = Path(run.path), io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in sorted(root.rglob("*")):
                    if file.is_file():
                        archive.write(file, file.relative_to(root))
            state["packed"] = packed.getvalue()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        packed = state.pop("packed", None)
        super().__setstate__(state)
        if packed is not None:
            folder = tempfile.mkdtemp(prefix="mused-")
            self._keep(folder)
            with zipfile.ZipFile(io.BytesIO(packed)) as archive:
                archive.extractall(Path(folder) / "run")
            self.run_ = Run.open(Path(folder) / "run")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        tags.target_tags.required = True
        return tags
