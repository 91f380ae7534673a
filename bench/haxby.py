"""Leave-one-run-out decoding of a dataset that `mused import bids` made of a block design.

    python bench/haxby.py DATASET

Logistic regression of scikit-learn with its defaults on z-scored voxels, a subject at a time.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

root = Path(sys.argv[1])
labels = np.load(root / "labels.npy")
stimuli = pd.read_csv(root / "stimuli.tsv", sep="\t").stimulus_id
row = {stimulus: index for index, stimulus in enumerate(stimuli)}
for subject in sorted((root / "subjects").iterdir()):
    trials = pd.read_csv(subject / "trials.tsv", sep="\t")
    x = np.load(subject / "responses.npy")
    y = labels[[row[stimulus] for stimulus in trials.stimulus_id]].argmax(1)
    runs = (trials.session * 1000 + trials.run).to_numpy()
    right = []
    for run in np.unique(runs):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        model.fit(x[runs != run], y[runs != run])
        right.extend(model.predict(x[runs == run]) == y[runs == run])
    print(f"{subject.name}: accuracy {np.mean(right):.3f}, chance {1 / labels.shape[1]:.3f}, {x.shape[0]} trials, {x.shape[1]} voxels")
