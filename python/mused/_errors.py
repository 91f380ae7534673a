"""What goes wrong. Every message says what was expected, what was found and what to do."""

from __future__ import annotations

from pathlib import Path


class MusedError(Exception):
    """Something could not be done. `path` is the file or folder at fault, where there is one."""

    def __init__(self, message: str, path: str | Path | None = None) -> None:
        super().__init__(message)
        self.path = None if path is None else Path(path)


class DataError(MusedError, ValueError):
    """Arrays, tables or a dataset directory are at fault."""


class ConfigError(MusedError, ValueError):
    """A setting is at fault, or does not go with the data or with what is in the folder."""


class LeakageError(MusedError):
    """Test data could reach training."""


class Interrupted(MusedError, KeyboardInterrupt):
    """Ctrl-C stopped a training. Everything is saved in `path`; the same call goes on."""
