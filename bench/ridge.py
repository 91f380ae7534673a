"""Ridge on the folds of a mused run: one a subject, pooled over subjects, and for a left-out subject.

    python bench/ridge.py DATASET RUN

The penalty is chosen inside each training part, by 4 folds over its stimuli, for the best mean AP.
"""

import sys

import numpy as np

from profiles import Profiles

PENALTIES = np.logspace(-3, 4, 15)


def fit(x, y, penalties):
    """Predictions of ridge with an intercept for each penalty: a function of new inputs."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    tall = len(x) > x.shape[1]
    values, vectors = np.linalg.eigh(x.T @ x if tall else x @ x.T)
    values = values.clip(0)
    left, right = (vectors, vectors.T @ (x.T @ y)) if tall else (x.T @ vectors, vectors.T @ y)
    return lambda new: [
        (((new - mean_x) @ left) / (values + penalty)) @ right + mean_y for penalty in penalties
    ]


def mean_average_precision(truth, scores):
    """For scores without ties, much faster than a call a label."""
    ranked = np.take_along_axis(truth, np.argsort(-scores, axis=0), 0)
    precision = ranked.cumsum(0) / np.arange(1, len(truth) + 1)[:, None]
    return np.mean((precision * ranked).sum(0) / ranked.sum(0))


def choose(x, y, subjects, stimuli):
    """x: subject × stimulus × feature of the training part."""
    parts = np.random.default_rng(0).permutation(stimuli) % 4
    scores = np.zeros(len(PENALTIES))
    for part in range(4):
        inside, outside = parts != part, parts == part
        predict = fit(x[:, inside].reshape(-1, x.shape[-1]), np.tile(y[inside], (subjects, 1)), PENALTIES)
        truth = np.tile(y[outside], (subjects, 1))
        can = (truth.sum(0) > 0) & (truth.sum(0) < len(truth))
        for place, guess in enumerate(predict(x[:, outside].reshape(-1, x.shape[-1]))):
            scores[place] += mean_average_precision(truth[:, can], guess[:, can])
    return PENALTIES[[scores.argmax()]]


data = Profiles(sys.argv[1])
subjects, stimuli, labels = len(data.subjects), len(data.labels), data.labels.shape[1]
own, pooled, left_out = (np.zeros((subjects, stimuli, labels)) for _ in range(3))
for train, test in data.folds(sys.argv[2]):
    x = data.inputs(train).reshape(subjects, stimuli, -1).astype(np.float64)
    y = data.labels[train].astype(np.float64)
    flat = lambda who: x[who][:, train].reshape(-1, x.shape[-1])
    for subject in range(subjects):
        penalty = choose(x[[subject]][:, train], y, 1, len(train))
        own[subject, test] = fit(flat([subject]), y, penalty)(x[subject, test])[0]
    everyone = np.arange(subjects)
    penalty = choose(x[:, train], y, subjects, len(train))
    predict = fit(flat(everyone), np.tile(y, (subjects, 1)), penalty)
    pooled[:, test] = predict(x[:, test].reshape(-1, x.shape[-1]))[0].reshape(subjects, len(test), -1)
    for subject in range(subjects):
        others = everyone[everyone != subject]
        predict = fit(flat(others), np.tile(y, (len(others), 1)), penalty)
        left_out[subject, test] = predict(x[subject, test])[0]
data.report("ridge, one a subject", own)
data.report("ridge, pooled", pooled)
# The penalty alone has seen the left-out subject's training stimuli: to the ridge's advantage, if any.
data.report("ridge, a left-out subject", left_out)
