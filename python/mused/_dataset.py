from __future__ import annotations

import logging
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from . import _arrays, _mused
from ._arrays import by_stimulus, counts, in_order, numbers
from ._errors import DataError
from ._tables import is_frame, pandas

log = logging.getLogger("mused")


class Check:
    """What `Dataset.check` found; printed, it is sentences."""

    def __init__(self, problems: list[tuple[bool, str]], outliers: list[str]) -> None:
        self.errors: list[str] = [message for stops, message in problems if stops]
        """What has to be mended before training."""
        self.warnings: list[str] = [message for stops, message in problems if not stops]
        """What is worth knowing."""
        self.outliers: list[str] = outliers
        """Subjects and runs that look unlike the others."""

    def __str__(self) -> str:
        lines = [f"error: {message}" for message in self.errors]
        lines += [f"warning: {message}" for message in self.warnings]
        if not lines:
            lines = ["no problems found"]
        lines += [f"look at {message}" for message in self.outliers]
        if not self.outliers:
            lines.append("no subject and no run looks unlike the others")
        return "\n".join(lines)

    __repr__ = __str__


class Dataset:
    """Stimuli with their labels, and the responses of people to them.

    Parameters
    ----------
    labels
        Which stimulus has which label: a DataFrame of 0 and 1 (index: stimuli, columns: labels), or an array of
        stimuli x labels with `names` of its columns.
    names
        Names of the labels, where `labels` is an array.
    stimuli
        Ids of the stimuli in the order of the rows of `labels`; of a DataFrame, the index. Without them, rows are
        called "0", "1", ...
    groups
        The film, scene or run each stimulus belongs to: a dict or Series by stimulus, or a list in their order. Stimuli
        of a group never straddle a split. Without groups each stimulus is its own.
    split
        The published part of each stimulus, "train" or "test", given as groups are: what is tested then. Folds are refused
        unless `split_published="ignore"`.
    features
        Guidance by name: arrays of stimuli x features, or DataFrames by stimulus. Those called "high" and "low", or
        that end in "-high" and "-low", guide the high- and low-level token.
    rdms
        Guidance by name, as dissimilarities: arrays of stimuli x stimuli.
    name
        What reports call the data.
    """

    def __init__(
        self,
        labels: Any,
        names: Any = None,
        *,
        stimuli: Any = None,
        groups: Any = None,
        split: Any = None,
        features: Mapping[str, Any] | None = None,
        rdms: Mapping[str, Any] | None = None,
        name: str = "in memory",
    ) -> None:
        ids, label_names, matrix = _arrays.labels(labels, names, stimuli)
        if groups is not None:
            groups = _arrays.names("groups", by_stimulus("groups", groups, ids), len(ids), "stimuli")
        tested = None
        if split is not None:
            parts = _arrays.names("split", by_stimulus("split", split, ids), len(ids), "stimuli")
            wrong = sorted(set(parts) - {"train", "test"})
            if wrong:
                raise DataError(f"split: expected 'train' or 'test', found {wrong[0]!r}")
            tested = [part == "test" for part in parts]
        self._data = _mused.Dataset(name, ids, groups, tested, label_names, matrix)
        for given, is_rdm in ((features, False), (rdms, True)):
            for feature, value in (given or {}).items():
                self._add_features(feature, value, is_rdm)

    def _add_features(self, name: str, value: Any, is_rdm: bool) -> None:
        what = f"{'rdms' if is_rdm else 'features'}[{name!r}]"
        ids = self.stimuli
        if is_rdm and is_frame(value):
            value = pandas().DataFrame(by_stimulus(what, value.T, ids).T, index=value.index)
        array = numbers(what, by_stimulus(what, value, ids), "stimuli x stimuli" if is_rdm else "stimuli x features")
        if len(array) != len(ids):
            raise DataError(f"{what}: expected {len(ids)} rows, one a stimulus, found {len(array)}")
        level = next((level for level in ("high", "low") if name == level or name.endswith(f"-{level}")), None)
        self._data.add_features(name, array.astype(np.float32, copy=False), level, is_rdm)

    @classmethod
    def _of(cls, data: _mused.Dataset) -> Dataset:
        made = cls.__new__(cls)
        made._data = data
        return made

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Dataset:
        """A dataset directory, as `mused import` and `write` make it. Responses stay on disk."""
        return cls._of(_mused.Dataset.open(path))

    def add(
        self,
        subject: str,
        responses: Any,
        stimulus: Any = None,
        roi: Any = None,
        run: Any = None,
        session: Any = None,
    ) -> Dataset:
        """Adds a person; returns the dataset.

        `responses` are trials x voxels. float32 in C order is not copied but read where it lies: what is changed in the
        array later is changed in the dataset. All else is copied once, as float32, which the log says. `stimulus` names
        what each trial showed; of a DataFrame it may be left out where the index does. `roi` is the region of each voxel,
        or one name for all; of a DataFrame it may be left out where the columns name regions. `run` and `session` count
        from 1.
        """
        if stimulus is None:
            if not is_frame(responses):
                raise DataError("stimulus: expected the ids of the stimuli shown, a trial each, found none")
            stimulus = responses.index
        array = numbers("responses", responses, "trials x voxels")
        trials, voxels = array.shape
        found = getattr(responses, "dtype", type(responses).__name__)
        if found != np.float32 or array.strides[1:] != (array.itemsize,):
            log.info("responses of %s are copied: float32 in C order would be read where it lies, found %s", subject, found)
        shown = _arrays.names("stimulus", in_order("stimulus", stimulus, responses), trials, "trials")
        unknown = set(shown) - set(self.stimuli)
        if unknown:
            first = next(name for name in shown if name in unknown)
            raise DataError(
                f"stimulus: expected ids of the {len(self.stimuli)} stimuli of labels, such as {self.stimuli[0]!r}, found "
                f"{first!r} in trial {shown.index(first)} (from 0) and {len(unknown)} unknown ones in all"
            )
        if roi is None:
            named = is_frame(responses) and all(isinstance(column, str) for column in responses.columns)
            roi = responses.columns if named else "brain"
        regions = [roi] * voxels if isinstance(roi, str) else _arrays.names("roi", roi, voxels, "voxels")
        runs = None if run is None else counts("run", in_order("run", run, responses), trials)
        sessions = None if session is None else counts("session", in_order("session", session, responses), trials)
        self._data.add_subject(str(subject), array, shown, regions, runs, sessions)
        return self

    def without_subjects(self) -> Dataset:
        """The same stimuli, labels and features, of nobody yet: for people to whom a trained model is adapted."""
        return self._of(self._data.without_subjects())

    def check(self) -> Check:
        """Reads all responses: problems, and subjects and runs that look unlike the others."""
        return Check(*self._data.check())

    def write(self, path: str | PathLike[str]) -> Dataset:
        """Writes a dataset directory, which the command `mused` reads, and opens it."""
        self._data.write(path)
        return self.open(path)

    @property
    def name(self) -> str:
        """What reports call the data."""
        return self._data.name

    @property
    def path(self) -> str | None:
        """The directory; None of arrays."""
        return None if self._data.path is None else str(self._data.path)

    @property
    def subjects(self) -> dict[str, tuple[int, int]]:
        """Trials and voxels of each subject."""
        return {name: (trials, voxels) for name, trials, voxels in self._data.subjects}

    @property
    def stimuli(self) -> list[str]:
        """Ids of the stimuli."""
        return [stimulus for stimulus, _ in self._data.stimuli]

    @property
    def groups(self) -> dict[str, str]:
        """The group of each stimulus."""
        return dict(self._data.stimuli)

    @property
    def labels(self) -> list[str]:
        """Names of the labels."""
        return self._data.labels

    @property
    def label_matrix(self) -> np.ndarray:
        """stimuli x labels, 0 or 1; a copy."""
        return self._data.label_matrix

    @property
    def regions(self) -> list[str]:
        """Regions in order of first appearance."""
        return self._data.regions

    @property
    def features(self) -> dict[str, str | None]:
        """Feature sets, and the level of the token that each guides."""
        return dict(self._data.features)

    def __repr__(self) -> str:
        place = f" at {self.path}" if self.path else ""
        return (
            f"<mused.Dataset {self.name!r}{place}: {len(self.subjects)} subjects, {len(self.stimuli)} stimuli, "
            f"{len(self.labels)} labels, {len(self.regions)} regions>"
        )
