"""
Own arrays, from NumPy to a table
=================================

Responses of a few people as arrays of trials x voxels, labels as a table of stimuli: that is all a first result needs. Here
both are simulated; replace the first cell by arrays of yours.
"""

# %%
# Three people saw 60 stimuli in 20 clips. Their voxels lie in two regions, each person's in its own way.
import numpy as np
import pandas as pd

import mused

random = np.random.default_rng(0)
stimuli = [f"s{number:02}" for number in range(60)]
labels = pd.DataFrame(random.integers(0, 2, (60, 3)), index=stimuli, columns=["face", "house", "tool"])
clips = {stimulus: f"clip{number // 3}" for number, stimulus in enumerate(stimuli)}
regions = ["V1"] * 12 + ["FFA"] * 8
betas = {}
for name in ("anna", "ben", "cleo"):
    patterns = random.normal(size=(3, len(regions)))
    betas[name] = (labels.to_numpy() @ patterns + random.normal(size=(60, len(regions)))).astype(np.float32)

# %%
# A dataset of them. float32 in C order is read where it lies. Stimuli of a clip never stand on both sides of a split.
data = mused.Dataset(labels, groups=clips, name="own arrays")
for name, responses in betas.items():
    data.add(name, responses, stimulus=stimuli, roi=regions, run=1 + np.arange(60) // 12)
print(data.check())

# %%
# Training in a few seconds; beside the network ridge regression is trained on the same folds, to be held against.
run = mused.train(data, "runs/first", folds=5, progress=False)
print(run)

# %%
# Scores with 95 % intervals, labels, subjects, and what is lost without each region.
print(run.scores())
print(run.labels())
print(run.subjects())
print(run.regions("face"))
