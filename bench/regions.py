"""A dataset of voxels by regions and a run's folds, read with NumPy alone; a subject's ridge regressions by peers.

    python bench/regions.py banded DATASET RUN    himalaya's banded ridge on the folds of a mused run: its scores
    python bench/regions.py maps DATASET [N]      time of the maps of one subject, of its first N regions alone: himalaya's
                                                  ridge, and scikit-learn's

`maps` does what aligned inputs do to a subject (`mused train`, model.inputs): each region's voxels onto 48 components and the
labels, 17 penalties, 6 parts, and predictions of each part from the others. Set OMP_NUM_THREADS to the threads of the other side.
"""

import sys
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from profiles import table

PENALTIES = 10 ** np.arange(-4, 4.5, 0.5)
PARTS = 6


class Regions:
    def __init__(self, dataset):
        root = Path(dataset)
        stimuli = table(root / "stimuli.tsv")
        self.index = {row["stimulus_id"]: place for place, row in enumerate(stimuli)}
        groups = [row.get("group") or row["stimulus_id"] for row in stimuli]
        self.groups = np.unique(groups, return_inverse=True)[1]
        self.labels = np.load(root / "labels.npy").astype(np.float64)
        self.subjects = sorted(path.name for path in (root / "subjects").iterdir())
        self.root = root

    def subject(self, name):
        """Stimuli that were shown, their mean responses, and the region of each voxel."""
        folder = self.root / "subjects" / name
        shown = np.array([self.index[row["stimulus_id"]] for row in table(folder / "trials.tsv")])
        regions = np.array([row["roi"] for row in table(folder / "voxels.tsv")])
        responses = np.load(folder / "responses.npy").astype(np.float64)
        stimuli, place = np.unique(shown, return_inverse=True)
        sums = np.zeros((len(stimuli), responses.shape[1]))
        np.add.at(sums, place, responses)
        return stimuli, sums / np.bincount(place)[:, None], regions


def parts(groups, seed=0):
    """Pairs of rows: whole groups, six parts."""
    names = np.unique(groups)
    part = np.random.default_rng(seed).permutation(len(names)) % PARTS
    of = part[np.searchsorted(names, groups)]
    return [(np.flatnonzero(of != one), np.flatnonzero(of == one)) for one in range(PARTS)]


def banded(dataset, run):
    from himalaya.ridge import GroupRidgeCV

    data = Regions(dataset)
    rows = table(Path(run) / "split.tsv")
    scored = []
    for name in data.subjects:
        stimuli, x, regions = data.subject(name)
        predicted = np.full((len(stimuli), data.labels.shape[1]), np.nan)
        for fold in sorted({row["fold"] for row in rows}, key=int):
            of = lambda part: {data.index[r["stimulus_id"]] for r in rows if (r["fold"], r["part"]) == (fold, part)}
            train, test = (np.isin(stimuli, list(of(part))) for part in ("train", "test"))
            mean = x[train].mean(0)
            scale = 1 / np.median(x[train].std(0))
            bands = [(x[:, regions == one] - mean[regions == one]) * scale for one in dict.fromkeys(regions)]
            y = data.labels[stimuli]
            size = sum((band[train] ** 2).sum() for band in bands) / train.sum()
            model = GroupRidgeCV(
                groups="input",
                solver_params=dict(n_iter=100, alphas=PENALTIES * size, progress_bar=False),
                cv=parts(data.groups[stimuli[train]]),
                random_state=0,
            )
            model.fit([band[train] for band in bands], y[train] - y[train].mean(0))
            predicted[test] = model.predict([band[test] for band in bands]) + y[train].mean(0)
        tested = ~np.isnan(predicted).any(1)
        truth, guess = data.labels[stimuli][tested], predicted[tested]
        can = (truth.sum(0) > 0) & (truth.sum(0) < len(truth))
        scored.append(
            [score(truth[:, can], guess[:, can], average="macro") for score in (average_precision_score, roc_auc_score)]
        )
    precision, area = np.mean(scored, 0)
    print(f"himalaya, banded by random search: macro AP {precision:.4f}, macro AUC {area:.4f}")


def maps(dataset, most=None):
    from himalaya.ridge import RidgeCV
    from sklearn.linear_model import Ridge, RidgeCV as LeaveOneOut

    data = Regions(dataset)
    stimuli, x, regions = data.subject(data.subjects[0])
    rng = np.random.default_rng(0)
    y = np.hstack([rng.standard_normal((len(stimuli), 48)), data.labels[stimuli]])
    y -= y.mean(0)
    x = (x - x.mean(0)) / np.median(x.std(0))
    split = parts(data.groups[stimuli])
    print(f"{len(x)} samples, {x.shape[1]} voxels in {len(set(regions))} regions, {y.shape[1]} targets")

    def by_himalaya(own, alphas):
        best = RidgeCV(alphas=alphas, cv=split, fit_intercept=False)
        best.fit(own, y)
        for train, test in split:
            model = RidgeCV(alphas=[np.median(best.best_alphas_)], cv=2, fit_intercept=False)
            model.fit(own[train], y[train]).predict(own[test])

    def by_scikit_learn(own, alphas):
        best = LeaveOneOut(alphas=alphas, fit_intercept=False).fit(own, y)
        for train, test in split:
            Ridge(best.alpha_, fit_intercept=False).fit(own[train], y[train]).predict(own[test])

    for name, fit in [("himalaya", by_himalaya), ("scikit-learn", by_scikit_learn)]:
        start = time.perf_counter()
        for one in list(dict.fromkeys(regions))[: int(most) if most else None]:
            own = x[:, regions == one]
            fit(own, PENALTIES * (own**2).sum() / min(own.shape))
        print(f"{name}: {time.perf_counter() - start:.1f} s", flush=True)


{"banded": banded, "maps": maps}[sys.argv[1]](*sys.argv[2:])
