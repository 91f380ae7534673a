"""Writes the .npz files that tests/npz.rs reads. Needs numpy.

    python generate_npz.py
"""

import pathlib

import numpy as np

here = pathlib.Path(__file__).parent / "files" / "npz"
here.mkdir(parents=True, exist_ok=True)
arrays = {
    "counting": np.arange(6, dtype="<i4").reshape(2, 3),
    "flags": np.array([True, False, True]),
    "half": np.array([0.5, -2.0], "<f2"),
}
np.savez(here / "stored.npz", **arrays)
np.savez_compressed(here / "deflated.npz", **arrays)
