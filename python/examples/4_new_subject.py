"""
A person the model never saw
============================

A trained model reads a new person after a few trials: the person's own regions are mapped in closed form, the network stays
as it is.
"""

# %%
import numpy as np
import pandas as pd

import mused

random = np.random.default_rng(2)
stimuli = [f"s{number:02}" for number in range(60)]
labels = pd.DataFrame(random.integers(0, 2, (60, 3)), index=stimuli, columns=["face", "house", "tool"])
regions = ["V1"] * 12 + ["FFA"] * 8


def responses() -> np.ndarray:
    return (labels.to_numpy() @ random.normal(size=(3, 20)) + random.normal(size=(60, 20))).astype(np.float32)


data = mused.Dataset(labels, groups={s: f"clip{number // 3}" for number, s in enumerate(stimuli)}, name="simulated")
for name in ("anna", "ben", "cleo"):
    data.add(name, responses(), stimulus=stimuli, roi=regions)
run = mused.train(data, "runs/three", folds=3, progress=False)

# %%
# The first 40 trials of the new person teach its maps and test them; the others are only predicted.
new = responses()
adapted = run.adapt(new[:40], stimuli[:40], "runs/dora", subject="dora", roi=regions)
print(adapted.scores())
predicted = adapted.predict(new[40:], roi=regions)
print(predicted.head())

# %%
# Fewer trials: how little is enough.
for trials in (10, 20):
    few = run.adapt(new[:40], stimuli[:40], f"runs/dora-{trials}", subject="dora", roi=regions, trials=trials)
    print(trials, few.scores().loc["macro AUC", "score"])
