"""Each example runs as it stands."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def test_there_are_five() -> None:
    assert [path.name[0] for path in EXAMPLES] == list("12345")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path: Path, tmp_path, monkeypatch, capsys) -> None:
    if "nilearn" in path.stem:
        pytest.importorskip("nilearn", reason="nilearn is not installed")
    monkeypatch.chdir(tmp_path)
    haxby = Path(os.environ.get("MUSED_SHARED", path.parents[3] / "shared")) / "data/haxby2001-one-slice/haxby2001"
    if haxby.is_dir():
        monkeypatch.setenv("HAXBY", str(haxby))
    runpy.run_path(str(path), run_name="__main__")
    assert len(capsys.readouterr().out.splitlines()) > 3
