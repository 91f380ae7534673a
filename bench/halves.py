"""A dataset in which each subject saw another random half of the stimuli, nothing having been seen by all.

    python bench/halves.py DATASET OUT [SEED]
"""

import csv
import shutil
import sys
from pathlib import Path

import numpy as np

from profiles import table

source, out = Path(sys.argv[1]), Path(sys.argv[2])
rng = np.random.default_rng(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
shutil.copytree(source, out)
stimuli = [row["stimulus_id"] for row in table(source / "stimuli.tsv")]
for folder in sorted((out / "subjects").iterdir()):
    half = set(rng.permutation(stimuli)[: len(stimuli) // 2])
    trials = table(folder / "trials.tsv")
    rows = [row for row, trial in enumerate(trials) if trial["stimulus_id"] in half]
    responses = np.load(folder / "responses.npy")[rows]
    np.save(folder / "responses.npy", np.ascontiguousarray(responses))
    with open(folder / "trials.tsv", "w", newline="") as file:
        writer = csv.DictWriter(file, trials[0], delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(trials[row] for row in rows)
