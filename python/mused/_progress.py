"""How far long work is: a bar where tqdm is installed, notes in the log."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger("mused")


class Listener:
    """Told by the engine what happens."""

    def __init__(self, show: bool, notes: int = logging.WARNING) -> None:
        self._show = show
        self._notes = notes
        self._name = "training"
        self._bar: Any = None

    def training(self, name: str) -> None:
        self.close()
        self._name = name

    def start(self, done: int, total: int) -> None:
        self.close()
        if not self._show:
            return
        try:
            from tqdm.auto import tqdm
        except ImportError:
            return
        self._bar = tqdm(total=total, initial=done, desc=self._name, unit="step", leave=False)

    def step(self, steps: int) -> None:
        if self._bar is not None:
            self._bar.update(steps)

    def trained(self) -> None:
        self.close()

    def beside(self, model: str) -> None:
        log.info("trained beside it, to hold it against: %s", model)

    def note(self, message: str) -> None:
        log.log(self._notes, "%s", message)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
