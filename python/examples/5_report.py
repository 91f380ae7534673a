"""
Report, figures, and a folder to share
======================================

One page of everything a run says, its figures by themselves, and a folder in Hugging Face's layout.
"""

# %%
import numpy as np
import pandas as pd

import mused

random = np.random.default_rng(3)
stimuli = [f"s{number:02}" for number in range(48)]
labels = pd.DataFrame(random.integers(0, 2, (48, 3)), index=stimuli, columns=["face", "house", "tool"])
data = mused.Dataset(labels, groups={s: f"clip{number // 2}" for number, s in enumerate(stimuli)}, name="simulated")
for name in ("anna", "ben", "cleo"):
    signal = labels.to_numpy() @ random.normal(size=(3, 20))
    data.add(name, signal + random.normal(size=(48, 20)), stimulus=stimuli, roi=["V1"] * 12 + ["FFA"] * 8)
run = mused.train(data, "runs/first", folds=4, progress=False)

# %%
# The page needs no network; further runs stand beside the first.
run.regions()  # importance of regions, which the page then shows
print(run.report("report.html", run.ridge))

# %%
# Figures as SVG, each with its table; `run.plot()` draws with matplotlib, where it is installed.
figures = run.figures()
print(list(figures))
first = next(iter(figures.values()))
first.save("figure.svg")
print(first.table().head())

# %%
# A folder to share, with a model card; `huggingface_hub` uploads it.
folder = run.save_pretrained("shared", licence="cc0-1.0", citation="simulated here")
print(mused.from_pretrained(folder).scores())
