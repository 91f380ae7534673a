"""Keywords as keys of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._errors import ConfigError


def configured(
    model: str | None, folds: int | None, preset: str, threads: int | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What the engine takes. `train_epochs=50` is the key `train.epochs`; a key may also be given as it is."""
    listed = [(_key(name), _value(name, value)) for name, value in settings.items()]
    if folds is not None:
        listed.append(("split.folds", _value("folds", folds)))
    return {"preset": preset, "model": model, "settings": listed, "threads": threads}


def _key(name: str) -> str:
    if "." in name or "_" not in name:
        return name
    section, rest = name.split("_", 1)
    return f"{section}.{rest}"


def _value(name: str, value: Any) -> Any:
    plain = value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
    if isinstance(plain, (bool, int, float, str)) or _list_of(plain, str) or _list_of(plain, int):
        return plain
    if isinstance(plain, (list, tuple)) and all(_list_of(entry, int) and len(entry) == 2 for entry in plain):
        return plain
    raise ConfigError(
        f"{name}: expected a number, a text, True, False, or a list of texts, whole numbers or pairs of them, found {value!r}"
    )


def _list_of(value: Any, kind: type) -> bool:
    # True is a whole number to Python, and a mistake here.
    own = lambda entry: isinstance(entry, kind) and not isinstance(entry, bool)
    return isinstance(value, (list, tuple)) and all(map(own, value))
