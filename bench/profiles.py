"""A dataset of similarity profiles and a run's folds, read with NumPy alone: for the peers in this folder."""

import csv
import json
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


class Profiles:
    def __init__(self, dataset):
        root = Path(dataset)
        stimuli = [row["stimulus_id"] for row in table(root / "stimuli.tsv")]
        self.index = {stimulus: i for i, stimulus in enumerate(stimuli)}
        self.labels = np.load(root / "labels.npy")
        self.subjects = sorted(path.name for path in (root / "subjects").iterdir())
        self.features = {}
        for folder in (root / "features").iterdir():
            level = json.loads((folder / "feature.json").read_text())["level"]
            self.features[level] = np.load(folder / "rdm.npy")
        self.rois, cubes = None, []
        for subject in self.subjects:
            folder = root / "subjects" / subject
            voxels, trials = table(folder / "voxels.tsv"), table(folder / "trials.tsv")
            responses = np.load(folder / "responses.npy").astype(np.float32)
            self.rois = self.rois or list(dict.fromkeys(v["roi"] for v in voxels))
            cube = np.full((len(self.rois), len(stimuli), len(stimuli)), np.nan, np.float32)
            rows = [self.index[t["stimulus_id"]] for t in trials]
            for column, voxel in enumerate(voxels):
                reference = self.index[voxel["reference_stimulus"]]
                cube[self.rois.index(voxel["roi"]), rows, reference] = responses[:, column]
            cubes.append(cube)
        self.cubes = np.stack(cubes)  # subject × roi × stimulus × reference
        assert not np.isnan(self.cubes).any(), "every subject must have every region and stimulus"

    def inputs(self, train):
        """subject × stimulus × roi × training reference; own column = median of the others, centred."""
        x = self.cubes[..., train].copy()
        for place, stimulus in enumerate(train):
            others = np.delete(x[:, :, stimulus], place, axis=-1)
            x[:, :, stimulus, place] = np.median(others, axis=-1)
        x -= x.mean(-1, keepdims=True)
        return x.transpose(0, 2, 1, 3)

    def folds(self, run):
        rows = table(Path(run) / "split.tsv")
        for fold in sorted({row["fold"] for row in rows}, key=int):
            part = lambda name: np.array(
                sorted(self.index[r["stimulus_id"]] for r in rows if r["fold"] == fold and r["part"] == name)
            )
            assert not len(part("validation")), "train the run with split.validation_fraction=0"
            yield part("train"), part("test")

    def report(self, name, scores):
        """scores: subject × stimulus × label, each from the fold that tested the stimulus."""
        can = (self.labels.sum(0) > 0) & (self.labels.sum(0) < len(self.labels))
        truth = self.labels[:, can]
        auc = [roc_auc_score(truth, s[:, can], average="macro") for s in scores]
        ap = [average_precision_score(truth, s[:, can], average="macro") for s in scores]
        print(f"{name:40} AUC {np.mean(auc):.4f}  AP {np.mean(ap):.4f}", flush=True)
