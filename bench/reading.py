"""An epoch's reading the published way: np.load(mmap)[..., t] on a file with time fastest.

    python bench/reading.py FOLDER [SECONDS] [READ]

Makes FOLDER/volumes.npy, 113 x 136 x 113 x SECONDS float32, once, and reads READ of its seconds in
random order. The other side: cargo run --release -p mused-data --example reading.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

SHAPE = (113, 136, 113)
folder = Path(sys.argv[1])
seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 350
path = folder / "volumes.npy"
if not path.exists():
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(*SHAPE, seconds))
    rng = np.random.default_rng(0)
    for i in range(SHAPE[0]):
        file[i] = rng.random(file.shape[1:], dtype=np.float32)
    file.flush()
    del file
seconds = np.load(path, mmap_mode="r").shape[-1]
chosen = np.random.default_rng(1).permutation(seconds)
chosen = chosen[: int(sys.argv[3])] if len(sys.argv) > 3 else chosen
for cache in ["cold", "warm"]:
    descriptor = os.open(path, os.O_RDONLY)
    if cache == "cold":
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    start = time.perf_counter()
    total = 0.0
    for t in chosen:
        total += np.load(path, mmap_mode="r")[..., t].astype(np.float32)[56, 68, 56]
    spent = time.perf_counter() - start
    print(f"{cache}: {len(chosen)} samples, {spent:.2f} s, {1e3 * spent / len(chosen):.1f} ms a sample", flush=True)
