"""Seconds for 10,000 relabellings of 80 labels x 7,674 samples of 8 subjects: macro AP and ROC-AUC, by subject.

    python bench/permutations.py [RELABELLINGS]

numpy ranks each column once, as predictions do not change; scikit-learn scores each relabelling anew. Both do a few
relabellings (numpy 300 unless told, scikit-learn 2) and the seconds are scaled to 10,000.
`cargo run --release -p mused-stats --example permutation_bench` is the other side.
"""

import sys
import time

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

ROWS, LABELS, SUBJECTS, PREVALENCE, ALL = 7_674, 80, 8, 0.036, 10_000
rng = np.random.default_rng(1)
subject, stimulus = np.arange(ROWS) % SUBJECTS, np.arange(ROWS) // SUBJECTS
of_stimulus = rng.random((stimulus.max() + 1, LABELS)) < PREVALENCE
scores = rng.random((ROWS, LABELS))

# By subject: scores are distinct, so a rank is a place in the order.
order, places, stimuli = [], [], []
for one in range(SUBJECTS):
    rows = subject == one
    order.append(np.argsort(-scores[rows], axis=0))
    stimuli.append(stimulus[rows])
    places.append(np.argsort(order[-1], axis=0) + 1.0)


def with_numpy(source):
    precision, auc = [], []
    for order_, place, seen in zip(order, places, stimuli):
        truth = of_stimulus[source[seen]]
        count = truth.sum(0)
        samples = len(truth)
        # AUC by the rank sum of the positives.
        sums = np.einsum("ij,ij->j", place, truth)
        negatives = samples - count
        auc.append(np.mean(1 - (sums - count * (count + 1) / 2) / (count * negatives)))
        # AP over the positives alone, in order: their number so far over their place.
        ranked = np.take_along_axis(truth, order_, axis=0)
        label, place_ = np.nonzero(ranked.T)
        first = np.concatenate([[0], np.cumsum(count)[:-1]])
        found = np.arange(len(label)) - first[label] + 1
        precision.append(np.mean(np.bincount(label, found / (place_ + 1), LABELS) / count))
    return np.mean(precision), np.mean(auc)


def with_sklearn(source):
    precision, auc = [], []
    for one in range(SUBJECTS):
        rows = subject == one
        truth = of_stimulus[source[stimulus[rows]]]
        precision.append(average_precision_score(truth, scores[rows]))
        auc.append(roc_auc_score(truth, scores[rows]))
    return np.mean(precision), np.mean(auc)


source = rng.permutation(len(of_stimulus))
assert np.allclose(with_numpy(source), with_sklearn(source))
tries = int(sys.argv[1]) if len(sys.argv) > 1 else 300
for name, function, count in [("numpy", with_numpy, tries), ("scikit-learn", with_sklearn, 2)]:
    start = time.perf_counter()
    for _ in range(count):
        function(rng.permutation(len(of_stimulus)))
    seconds = time.perf_counter() - start
    print(f"{name}: {seconds:.1f} s for {count}, {seconds / count * ALL:.0f} s for {ALL}")
