"""
Models compared, with tests
===========================

Several models on the same folds, and which is ahead: the difference from the first with a 95 % interval, and p for other
subjects, other stimuli and both.
"""

# %%
import numpy as np
import pandas as pd

import mused

random = np.random.default_rng(1)
stimuli = [f"s{number:02}" for number in range(48)]
labels = pd.DataFrame(random.integers(0, 2, (48, 3)), index=stimuli, columns=["face", "house", "tool"])
data = mused.Dataset(labels, groups={s: f"clip{number // 2}" for number, s in enumerate(stimuli)}, name="simulated")
for name in ("anna", "ben", "cleo"):
    signal = labels.to_numpy() @ random.normal(size=(3, 20))
    data.add(name, signal + random.normal(size=(48, 20)), stimulus=stimuli, roi=["V1"] * 12 + ["FFA"] * 8)

# %%
# Complete runs are kept, and a benchmark that Ctrl-C stopped goes on. `prevalence` shows what knowing nothing scores.
found = mused.benchmark(data, ["default", "ridge-separate", "prevalence"], "runs/compared", folds=4, progress=False)
print(found.table())

# %%
# Who is ahead, in numbers and in words.
print(found.differences())
print(found)

# %%
# The best one's scores flatter it, since it was chosen by them: confirm it on other data.
print(found.best.labels())
