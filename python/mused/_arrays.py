"""What users give, as arrays and lists of one meaning; or an error that names the argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._errors import DataError
from ._tables import counts_up, is_frame, is_series


def numbers(what: str, value: Any, columns: str) -> np.ndarray:
    """Two dimensions of real numbers, float32 or float64; whatever else holds numbers is made float32."""
    array = np.asarray(value)
    if array.dtype == object:
        kinds = sorted({type(item).__name__ for item in array.ravel()[:1000]})
        raise DataError(
            f"{what}: expected an array of numbers, found objects ({', '.join(kinds)}); rows of unequal length make such "
            "arrays, and so do columns of text"
        )
    if array.dtype.kind not in "fiub":
        raise DataError(f"{what}: expected real numbers, found dtype {array.dtype}")
    if array.ndim != 2:
        raise DataError(f"{what}: expected 2 dimensions ({columns}), found shape {array.shape}")
    if array.dtype in (np.float32, np.float64) and array.dtype.isnative:
        return array
    return array.astype(np.float32)


def names(what: str, value: Any, length: int | None = None, of: str = "") -> list[str]:
    """Names one by one; numbers are names too."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise DataError(f"{what}: expected a list of names, found {value!r}")
    listed = list(value)
    for place, name in enumerate(listed):
        if name is None or name != name:
            raise DataError(f"{what}: expected a name, found {name} in place {place} (from 0)")
    texts = [str(name) for name in listed]
    if length is not None and len(texts) != length:
        raise DataError(f"{what}: expected {length} ({of}), found {len(texts)}")
    return texts


def counts(what: str, value: Any, length: int) -> list[int]:
    """Numbers of runs or sessions, from 1; one for all trials may stand alone."""
    if isinstance(value, (int, np.integer)):
        value = [value] * length
    array = np.asarray(value)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"{what}: expected whole numbers from 1, a trial each, found {_in_words(array)}")
    if len(array) != length:
        raise DataError(f"{what}: expected {length} (trials), found {len(array)}")
    if length and (array.min() < 1 or array.max() > 2**32 - 1):
        raise DataError(f"{what}: expected whole numbers from 1, found {array.min()} to {array.max()}")
    return [int(number) for number in array]


def by_stimulus(what: str, value: Any, stimuli: Sequence[str]) -> Any:
    """A value a stimulus, in the order of the stimuli: brought there by name where it has names."""
    if isinstance(value, Mapping):
        known = {str(name): entry for name, entry in value.items()}
        return [known[name] for name in _all_there(what, known, stimuli)]
    if is_frame(value) or is_series(value):
        index = [str(name) for name in value.index]
        if not set(stimuli) <= set(index):
            if counts_up(value.index) and len(value) == len(stimuli):
                return value.to_numpy()
            _all_there(what, index, stimuli)
        if len(set(index)) < len(index):
            raise DataError(f"{what}: expected an index that names each stimulus once, found some twice")
        place = {name: row for row, name in enumerate(index)}
        return value.to_numpy()[[place[name] for name in stimuli]]
    return value


def in_order(what: str, value: Any, responses: Any) -> Any:
    """A value a trial: a Series has to have the index of the responses, or none of its own."""
    if not is_series(value):
        return value
    if is_frame(responses) and not counts_up(value.index) and not value.index.equals(responses.index):
        raise DataError(
            f"{what}: expected the index of responses, found another: rows cannot be matched by it; bring them into one "
            "order and give .to_numpy()"
        )
    return value.to_numpy()


def labels(value: Any, label_names: Any, stimuli: Any) -> tuple[list[str], list[str], np.ndarray]:
    """Stimuli, labels, and stimuli x labels of 0 and 1."""
    if is_frame(value):
        if label_names is not None:
            raise DataError("names: the columns of labels name them already: leave names out")
        label_names, index = list(value.columns), value.index
        rows = names("stimuli", index if stimuli is None else stimuli)
        if stimuli is not None:
            value = by_stimulus("labels", value, rows)
    elif label_names is None:
        raise DataError("labels: expected a DataFrame, or an array with names=[...] of its columns")
    else:
        rows = names("stimuli", range(len(value)) if stimuli is None else stimuli)
    array = numbers("labels", value, "stimuli x labels")
    if len(rows) != len(array):
        raise DataError(f"labels: expected {len(rows)} rows, one a stimulus, found {len(array)}")
    texts = names("names", label_names, array.shape[1], "columns of labels")
    wrong = ~np.isin(array, (0, 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"labels: expected 0 or 1, found {array[row, column]:g} for stimulus {rows[row]!r}, label {texts[column]!r}"
        )
    return rows, texts, np.ascontiguousarray(array, dtype=np.uint8)


def _all_there(what: str, known: Any, stimuli: Sequence[str]) -> Sequence[str]:
    there = set(known)
    missing = [name for name in stimuli if name not in there]
    if missing:
        raise DataError(
            f"{what}: expected one for each of {len(stimuli)} stimuli, found none for {len(missing)} of them, such as "
            f"{missing[0]!r}"
        )
    return stimuli


def _in_words(array: np.ndarray) -> str:
    return f"dtype {array.dtype}" if array.ndim == 1 else f"shape {array.shape}"
