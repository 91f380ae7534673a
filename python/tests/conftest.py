"""Small data that all tests share, made here."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mused

STIMULI = [f"s{number:02}" for number in range(48)]
LABELS = ["face", "house", "tool"]
REGIONS = ["V1"] * 5 + ["FFA"] * 4
QUICK = {"model_dim": 16, "model_heads": 2, "train_epochs": 3, "train_batch_size": 16}


@pytest.fixture(scope="session")
def labels() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(random.integers(0, 2, (len(STIMULI), len(LABELS))), index=STIMULI, columns=LABELS)


@pytest.fixture(scope="session")
def groups() -> dict[str, str]:
    return {stimulus: f"clip{number // 2}" for number, stimulus in enumerate(STIMULI)}


@pytest.fixture(scope="session")
def betas(labels: pd.DataFrame) -> dict[str, np.ndarray]:
    """Three people; the labels drive their voxels, each in its own way."""
    random = np.random.default_rng(1)
    people = {}
    for name in ("anna", "ben", "cleo"):
        weights = random.normal(size=(len(LABELS), len(REGIONS)))
        noise = random.normal(size=(len(STIMULI), len(REGIONS)))
        people[name] = (labels.to_numpy() @ weights + noise).astype(np.float32)
    return people


@pytest.fixture
def dataset(labels: pd.DataFrame, groups: dict[str, str], betas: dict[str, np.ndarray]) -> mused.Dataset:
    return filled(mused.Dataset(labels, groups=groups, name="small"), betas)


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    labels: pd.DataFrame,
    groups: dict[str, str],
    betas: dict[str, np.ndarray],
) -> mused.Run:
    """A run that no test changes."""
    data = filled(mused.Dataset(labels, groups=groups, name="small"), betas)
    return mused.train(data, tmp_path_factory.mktemp("runs") / "run", folds=2, progress=False, **QUICK)


def filled(data: mused.Dataset, betas: dict[str, np.ndarray]) -> mused.Dataset:
    for name, responses in betas.items():
        data.add(name, responses, stimulus=STIMULI, roi=REGIONS, run=1 + np.arange(len(STIMULI)) // 12)
    return data


@pytest.fixture(scope="session")
def command() -> Path:
    """The command line, to which bits are held."""
    built = Path(__file__).parents[2] / "target" / "debug" / "mused"
    path = Path(os.environ.get("MUSED", built))
    if not path.is_file():
        pytest.skip(f"the command is not at {path}: `cargo build -p mused`, or name it in the variable MUSED")
    return path


def shared(place: str) -> Path:
    """Real data outside of the repository, where they are."""
    path = Path(os.environ.get("MUSED_SHARED", Path(__file__).parents[3] / "shared")) / "data" / place
    if not path.is_dir():
        pytest.skip(f"there is no {path}: name the folder of real data in the variable MUSED_SHARED")
    return path
