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
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(entry, str) for entry in value):
        return list(value)
    raise ConfigError(f"{name}: expected a number, a text, True, False or a list of texts, found {value!r}")
