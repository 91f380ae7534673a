"""The program that a new user writes, word for word, held to the bits of the command line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import shared

import mused

PROGRAM = """
import mused
ds = mused.Dataset(labels=labels_df, groups=clip_of, features={"high": clip})
for s in betas:
    ds.add(s, betas[s], stimulus=shown[s], roi=rois[s], run=runs[s])
ds.check()                                           # problems in words, leaks, outliers
runs = mused.benchmark(ds, ["default", "ridge-banded", "clip-mused"], folds=5)
runs.table()                                         # DataFrame: score, low, high, p
best = runs.best; best.labels(); best.subjects(); best.regions("face")
new = best.adapt(x_new[:20], stimulus=shown_new[:20]); new.predict(x_new[20:])
best.report("report.html"); best                     # _repr_html_ in a notebook
"""


def simulated() -> dict[str, object]:
    random = np.random.default_rng(3)
    stimuli = [f"s{number:02}" for number in range(60)]
    meaning = random.normal(size=(60, 5))
    labels = pd.DataFrame((meaning[:, :3] > 0).astype(int), index=stimuli, columns=["face", "house", "tool"])
    regions = ["V1"] * 6 + ["FFA"] * 5
    people = {}
    for name in ("anna", "ben", "cleo", "eva", "finn", "gina", "dora"):
        people[name] = (meaning @ random.normal(size=(5, 11)) * 0.5 + random.normal(size=(60, 11))).astype("f4")
    new = pd.DataFrame(people.pop("dora"), columns=regions)
    return {
        "labels_df": labels,
        "clip_of": {stimulus: f"clip{number // 3}" for number, stimulus in enumerate(stimuli)},
        "clip": meaning @ random.normal(size=(5, 24)) + random.normal(size=(60, 24)),
        "betas": people,
        "shown": dict.fromkeys(people, stimuli),
        "rois": dict.fromkeys(people, regions),
        "runs": dict.fromkeys(people, 1 + np.arange(60) // 12),
        "x_new": new,
        "shown_new": stimuli,
    }


def raiders() -> dict[str, object]:
    loadmat = pytest.importorskip("scipy.io").loadmat
    source = shared("raiders-vt-10")
    kinds = loadmat(source / "label.mat")["label"].ravel()
    sides = {side: loadmat(source / f"image_data_{side}.mat")[f"image_data_{side}"] for side in ("lh", "rh")}
    blocks = [f"run{block // 7 + 1}-block{block % 7 + 1}" for block in range(len(kinds))]
    matrix = (kinds[:, None] == np.arange(1, 8)).astype(int)
    columns = ["face", *(f"category{kind}" for kind in range(2, 8))]
    labels = pd.DataFrame(matrix, index=blocks, columns=columns)
    regions = [side for side, values in sides.items() for _ in values]
    people = {
        f"sub-{person + 1:02}": np.concatenate([values[:, :, person] for values in sides.values()]).T.astype("f4", order="C")
        for person in range(10)
    }
    new = pd.DataFrame(people.pop("sub-10"), columns=regions)
    return {
        "labels_df": labels,
        "clip_of": {block: block.split("-")[0] for block in blocks},
        "clip": np.hstack([matrix, 0.3 * np.random.default_rng(0).normal(size=(len(blocks), 24))]),
        "betas": people,
        "shown": dict.fromkeys(people, blocks),
        "rois": dict.fromkeys(people, regions),
        "runs": dict.fromkeys(people, 1 + np.arange(56) // 7),
        "x_new": new,
        "shown_new": blocks,
    }


@pytest.mark.parametrize("arrays", [simulated, raiders])
def test_the_program_gives_the_bits_of_the_command(arrays, command: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = arrays()
    exec(PROGRAM, names)  # noqa: S102
    best, runs, new = names["best"], names["runs"], names["new"]
    assert isinstance(best, mused.Run) and "<table" in best._repr_html_()
    assert list(runs.table().columns) == ["seeds", "macro AP", "macro AUC", "Hamming loss", "low", "high", "p"]
    rest = new.predict(names["x_new"][20:])
    assert rest.shape == (len(names["x_new"]) - 20, len(names["labels_df"].columns)) and rest.notna().all(axis=None)
    assert Path("report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    data = names["ds"].write("data").path
    models = "default,ridge-banded,clip-mused"
    subprocess.run(
        [command, "benchmark", data, "--folds", "5", "--models", models, "--out", "compared"],
        check=True,
        capture_output=True,
    )
    found = {run: (Path(run) / "predictions.npy").read_bytes() for of in runs.runs.values() for run in [of[0].path]}
    for run, values in found.items():
        other = Path("compared") / Path(run).relative_to(Path("mused-benchmark"))
        assert (other / "predictions.npy").read_bytes() == values, os.fspath(other)
    assert len(found) >= 3
