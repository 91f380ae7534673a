"""
Images in and out, with nilearn
===============================

From BOLD runs and a mask to responses, and from scores of regions back to an image. The images are made here, block designs
like those of Haxby et al. (2001); set HAXBY to a folder of that study's runs to read one of its slices instead.
"""

# %%
# A run is 64 volumes of a small brain; blocks of faces and houses drive two corners of it.
import os
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
from nilearn.maskers import NiftiMasker

import mused
from mused.nilearn import importance, regions

KINDS = ["face", "house"]
random = np.random.default_rng(0)
atlas = np.zeros((6, 6, 6), dtype=np.int32)
atlas[:3, :3, :3], atlas[3:, 3:, 3:] = 1, 2
pattern = random.normal(size=(2, 6, 6, 6)) * (atlas > 0)


def recorded(kinds: list[str]) -> nibabel.Nifti1Image:
    volumes = np.repeat([pattern[KINDS.index(kind)] for kind in kinds], 8, axis=0)
    volumes = np.moveaxis(volumes + 4 * random.normal(size=volumes.shape), 0, -1)
    return nibabel.Nifti1Image(volumes.astype(np.float32), np.diag([3.0, 3, 3, 1]))


orders = [random.permutation(KINDS * 4).tolist() for _ in range(6)]
bold = [recorded(order) for order in orders]

# %%
# A masker makes columns of voxels; a block's response is the mean over its volumes. A run is a group: folds leave runs out.
atlas_image = nibabel.Nifti1Image(atlas, bold[0].affine)
masker = NiftiMasker(nibabel.Nifti1Image((atlas > 0).astype(np.uint8), bold[0].affine), standardize=None).fit()
responses = np.vstack([masker.transform(run).reshape(8, 8, -1).mean(axis=1) for run in bold])
blocks = [f"run{run}-block{block}" for run in range(6) for block in range(8)]
kinds = [kind for order in orders for kind in order]
labels = pd.get_dummies(pd.Series(kinds, index=blocks)).astype(int)
data = mused.Dataset(labels, groups={block: block.split("-")[0] for block in blocks}, name="blocks")
roi = regions(masker, atlas_image, ["early", "late"])
data.add("anna", responses, stimulus=blocks, roi=roi)
run = mused.train(data, "runs/blocks", "ridge-separate", folds=6, progress=False)
print(run)

# %%
# Back to an image: each voxel has what the AUC loses without its region. `plot_importance` shows it in a glass brain.
lost = importance(run, masker, roi, "face")
lost.to_filename("face.nii.gz")
print(lost.shape)

# %%
# Of published files without any array: `import_bids` reads BOLD runs and events by itself.
if "HAXBY" in os.environ:
    of_run = "sub{subject}/BOLD/task{task}_run{run}"
    haxby = mused.import_bids(
        Path(os.environ["HAXBY"]),
        "data/haxby",
        bold=f"{of_run}/bold_1slice.nii.gz",
        events=f"{of_run}/bold_events.tsv",
        allow="constant-voxels",
    )
    print(mused.train(haxby, "runs/haxby", "ridge-separate", folds=12, progress=False))
