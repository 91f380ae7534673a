from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._errors import DataError


class Weights:
    """The weights of one of a run's models, as a plain dict of arrays."""

    def __init__(self, description: str, tensors: list[tuple[str, np.ndarray]]) -> None:
        found = json.loads(description)
        self.config: dict[str, Any] = found["model"]
        """What the model is: sizes, kinds of tokens, dropout."""
        self.subjects: list[str] = found["subjects"]
        """Whom it was trained on, in the order of their tokens."""
        self.labels: list[str] = found["labels"]
        """What each logit is of."""
        self.members: int = found.get("members", 1)
        """Networks whose logits are averaged."""
        self.tensors: dict[str, np.ndarray] = dict(tensors)
        """As the run's file has them."""

    def member(self, number: int = 0) -> dict[str, np.ndarray]:
        """Of one network, under the names of `mused.torch.Network`: a state dict."""
        before = self._before(number)
        own = {name: value for name, value in self.tensors.items() if name.startswith(before)}
        return {name.removeprefix(before): value for name, value in own.items()}

    def replaced(self, states: Any) -> list[tuple[str, np.ndarray]]:
        """These weights with others in their place: a state dict, or one a member."""
        states = [states] if isinstance(states, Mapping) else list(states)
        if len(states) != self.members:
            raise DataError(f"weights: expected {self.members} state dicts, one a network, found {len(states)}")
        named = []
        for number, state in enumerate(states):
            for name, value in state.items():
                value = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
                named.append((self._before(number) + name, np.ascontiguousarray(value, dtype=np.float32)))
        return named

    def _before(self, number: int) -> str:
        if not 0 <= number < self.members:
            raise DataError(f"member: expected a number from 0 to {self.members - 1}, found {number}")
        # Tensors of a network stand under the name of its kind; those of closed forms under none.
        last = next(iter(self.tensors)).split(".")[1 if self.members > 1 else 0]
        kind = "" if "family" in self.config else f"{last}."
        return kind if self.members == 1 else f"{number}.{kind}"


class Inputs:
    """What a model reads of some samples."""

    def __init__(self, rows: list[tuple[str, str]], inputs: np.ndarray, subjects: np.ndarray, mask: np.ndarray) -> None:
        self.rows: list[tuple[str, str]] = rows
        """Subject and stimulus of each row."""
        self.inputs: np.ndarray = inputs
        """rows x input width"""
        self.subjects: np.ndarray = subjects
        """rows x subject tokens: whose responses a row has; each row sums to 1."""
        self.mask: np.ndarray = mask
        """rows x regions: 1 where a subject has one."""

    def tensors(self) -> tuple[Any, Any, Any]:
        """Inputs, subjects and mask for `mused.torch.Network`."""
        import torch

        return tuple(torch.from_numpy(array) for array in (self.inputs, self.subjects, self.mask))
