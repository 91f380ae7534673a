"""The image blocks of Haxby et al. 2011 (github.com/cameronphchen/SRM, data/input/raider/500vx/2203TR) for `mused import npy`.

    python bench/raiders.py DOWNLOAD FOLDER
    mused import npy FOLDER data/raiders-vt-10 --name raiders-vt-10 --licence unstated --citation 'Haxby et al., Neuron 72 (2011) 404-416'

Ten subjects with ventral temporal voxels of their own, 500 a hemisphere; 8 runs of 7 blocks, one a category. A block is a
stimulus and a run is its group: 8 folds leave one run out each. The categories have no names in the source.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.io import loadmat

CATEGORIES = 7

source, folder = map(Path, sys.argv[1:])
folder.mkdir(parents=True)
labels = loadmat(source / "label.mat")["label"].ravel()
regions = {side: loadmat(source / f"image_data_{side}.mat")[f"image_data_{side}"] for side in ("lh", "rh")}
blocks = [(f"run{i // CATEGORIES + 1}-block{i % CATEGORIES + 1}", i // CATEGORIES + 1) for i in range(len(labels))]


def table(name, header, rows):
    lines = ["\t".join(map(str, row)) for row in [header, *rows]]
    (folder / name).write_text("\n".join(lines) + "\n")


table("stimuli.tsv", ["stimulus_id", "group"], [(block, f"run{run}") for block, run in blocks])
names = [f"category{category}" for category in range(1, CATEGORIES + 1)]
table("labels.tsv", ["stimulus_id", *names], [(block, *(int(label == c) for c in range(1, CATEGORIES + 1))) for (block, _), label in zip(blocks, labels)])
for subject in range(regions["lh"].shape[2]):
    name = f"sub-{subject + 1:02}"
    responses = np.concatenate([region[:, :, subject] for region in regions.values()]).T
    np.save(folder / f"{name}.npy", responses.astype(np.float32))
    table(f"{name}_trials.tsv", ["stimulus_id", "run"], blocks)
    table(f"{name}_voxels.tsv", ["roi"], [(side,) for side, region in regions.items() for _ in region])
