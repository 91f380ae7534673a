"""Writes the CIFTI-2 files that tests/cifti.rs reads, and what nibabel reads back. Needs nibabel and numpy.

    python generate_cifti.py
"""

import pathlib

import nibabel as nib
import numpy as np
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis, ScalarAxis, SeriesAxis

here = pathlib.Path(__file__).parent / "files" / "cifti"
here.mkdir(parents=True, exist_ok=True)
affine = np.array([[-2, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1.0]])
left = BrainModelAxis.from_surface(np.array([0, 2, 3, 7]), 10, "CortexLeft")
right = BrainModelAxis.from_surface(np.array([1, 9]), 10, "CortexRight")
mask = np.zeros((3, 4, 5), bool)
mask[0, 1, 2] = mask[2, 3, 4] = mask[1, 0, 0] = True
voxels = BrainModelAxis.from_mask(mask, "ThalamusLeft", affine)
brain = left + right + voxels
expected = {"voxels": np.argwhere(mask).astype("i4")}


def save(name, axis, kind="f4"):
    values = (np.arange(len(axis) * len(brain)).reshape(len(axis), len(brain)) * 0.5).astype(kind)
    Cifti2Image(values, (axis, brain)).to_filename(here / name)
    expected[name.split(".")[1]] = np.asarray(nib.load(here / name).dataobj).astype("f4")


save("a.dtseries.nii", SeriesAxis(0.36, 0.72, 5))
save("a.dscalar.nii", ScalarAxis(["beta", "auc & <more>"]))
table = {0: ("???", (1.0, 1, 1, 0)), 3: ("V1", (1.0, 0.5, 0, 1))}
save("a.dlabel.nii", LabelAxis(["areas"], [table]), "i4")
np.savez_compressed(here / "expected.npz", **expected)
