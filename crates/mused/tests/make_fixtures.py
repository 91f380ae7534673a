"""Writes fixtures/stimuli.hdf5: a miniature of NSD's stimulus file, and its images as PNG.

    python make_fixtures.py        # needs h5py, numpy, pillow
"""

from pathlib import Path

import h5py
import numpy as np
from PIL import Image

folder = Path(__file__).parent / "fixtures"
folder.mkdir(exist_ok=True)
rng = np.random.default_rng(0)
coarse = rng.integers(0, 256, (4, 3, 3, 3), dtype=np.uint8)
images = np.stack([np.asarray(Image.fromarray(image).resize((40, 36))) for image in coarse])
with h5py.File(folder / "stimuli.hdf5", "w") as file:
    file.create_dataset("imgBrick", data=images, compression="gzip")
for row, image in enumerate(images):
    Image.fromarray(image).save(folder / f"stimulus_{row}.png")
