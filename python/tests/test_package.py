from __future__ import annotations

import subprocess
import sys

import mused


def test_everything_is_documented() -> None:
    for name in mused.__all__:
        assert name == "__version__" or getattr(mused, name).__doc__, name
    assert "ridge-banded" in mused.models()
    assert mused.__version__.count(".") == 2


def test_pandas_is_asked_for_when_a_table_is() -> None:
    """Without it datasets are made, and the message says what to install."""
    program = """
import sys
sys.modules["pandas"] = None
import mused, numpy
data = mused.Dataset(numpy.eye(4, dtype=int), list("abcd"))
data.add("anna", numpy.ones((4, 2)), stimulus=data.stimuli)
try:
    mused._tables.pandas()
except mused.MusedError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install pandas" in done.stdout
