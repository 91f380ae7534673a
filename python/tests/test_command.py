"""The command that the wheel brings, and imports with its options."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import STIMULI

import mused


@pytest.fixture(scope="module")
def brought() -> Path:
    """Beside the interpreter's other programs."""
    path = Path(sysconfig.get_path("scripts"), "mused.exe" if sys.platform == "win32" else "mused")
    if not path.is_file():
        pytest.skip(f"{path}: the package was not installed as a wheel")
    return path


def both(commands: tuple[Path, Path], *arguments: object) -> list[subprocess.CompletedProcess[bytes]]:
    return [subprocess.run([command, *arguments], capture_output=True) for command in commands]


def test_it_says_what_the_binary_says(brought: Path, command: Path, trained: mused.Run) -> None:
    for arguments, code in [
        (["--version"], 0),
        (["--help"], 0),
        (["config", "train.epochs"], 0),
        (["evaluate", trained.path], 0),
        (["trian"], 2),
        (["train", "data", "--folds", "many"], 2),
        (["info", "nowhere"], 1),
    ]:
        wheel, binary = both((brought, command), *arguments)
        assert wheel.returncode == binary.returncode == code, arguments
        assert wheel.stdout == binary.stdout and wheel.stderr == binary.stderr, arguments
        assert wheel.stdout or wheel.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_it_hears_ctrl_c(brought: Path, dataset: mused.Dataset, tmp_path) -> None:
    data = dataset.write(tmp_path / "data").path
    out = tmp_path / "run"
    arguments = ["train", data, "--out", out, "--set", "train.epochs=100000"]
    # A shell that runs tests in the background has it ignored, which the command respects.
    hears = dict(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    with subprocess.Popen([brought, *arguments], stderr=subprocess.PIPE, **hears) as process:
        while not (out / "metrics.jsonl").is_file() or not (out / "metrics.jsonl").stat().st_size:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait() == 130
    assert b"--resume" in said
    assert not mused.Run.open(out)._run.is_complete


def test_imports_take_the_options_of_the_command(tmp_path, caplog) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    np.save(folder / "anna.npy", np.random.default_rng(0).normal(size=(48, 5)).astype(np.float32))
    (folder / "anna_trials.tsv").write_text("stimulus_id\n" + "\n".join(STIMULI) + "\n")
    rows = [f"{stimulus}\t{number % 2}\t{number // 2 % 2}" for number, stimulus in enumerate(STIMULI)]
    (folder / "labels.tsv").write_text("stimulus_id\tface\thouse\n" + "\n".join(rows) + "\n")
    (folder / "stimuli.tsv").write_text("stimulus_id\n" + "\n".join(STIMULI) + "\n")
    data = mused.import_npy(folder, tmp_path / "data", name="small", licence="CC0")
    assert data.name == "small" and data.subjects == {"anna": (48, 5)} and data.labels == ["face", "house"]
    assert data._data.terms == ("CC0", None)
    with pytest.raises(mused.DataError, match="already exists") as error:
        mused.import_npy(folder, tmp_path / "data")
    assert error.value.path == tmp_path / "data"
    with pytest.raises(mused.ConfigError, match="unexpected argument '--nmae' found"):
        mused.import_npy(folder, tmp_path / "other", nmae="small")
    with pytest.raises(mused.ConfigError, match="name: expected a text, a number"):
        mused.import_npy(folder, tmp_path / "other", name={})
    for source in (mused.import_bids, mused.import_nsd, mused.import_hcp, mused.import_rdm):
        with pytest.raises(mused.DataError, match="nowhere"):
            source(tmp_path / "nowhere", tmp_path / "other")
    with pytest.raises(mused.ConfigError, match="invalid value 'x' for '--window"):
        mused.import_bids(folder, tmp_path / "other", window="x")
    assert not (tmp_path / "other").exists() and os.listdir(tmp_path)
