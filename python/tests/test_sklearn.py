from __future__ import annotations

import pickle

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", "1.6")

from conftest import LABELS, STIMULI  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.metrics import accuracy_score, roc_auc_score  # noqa: E402
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

import mused  # noqa: E402
from mused.sklearn import MusedDecoder  # noqa: E402

QUICK = {"model.dim": 16, "model.heads": 2, "train.epochs": 3, "train.batch_size": 16}


@pytest.fixture(scope="module")
def stacked(betas: dict, labels) -> dict[str, np.ndarray]:
    """Rows of all people, one below the other."""
    people = len(betas)
    return {
        "X": np.vstack(list(betas.values())),
        "y": np.tile(labels.to_numpy(), (people, 1)),
        "subject": np.repeat(list(betas), len(STIMULI)),
        "stimulus": np.tile(STIMULI, people),
        "groups": np.tile([f"clip{number // 2}" for number in range(len(STIMULI))], people),
    }


def test_labels_are_learned_and_predicted(stacked: dict) -> None:
    decoder = MusedDecoder("ridge-separate").fit(**stacked)
    values = decoder.predict_proba(stacked["X"], subject=stacked["subject"])
    assert values.shape == (144, len(LABELS))
    assert roc_auc_score(stacked["y"], values) > 0.7
    predicted = decoder.predict(stacked["X"], subject=stacked["subject"])
    assert ((values > 0.5) == predicted).all()
    logits = decoder.decision_function(stacked["X"], subject=stacked["subject"])
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), values, atol=1e-6)
    score = decoder.score(stacked["X"], stacked["y"], subject=stacked["subject"])
    assert score == accuracy_score(stacked["y"], predicted)


def test_the_model_is_that_of_train(stacked: dict, labels, betas: dict) -> None:
    decoder = MusedDecoder(settings=QUICK).fit(**stacked)
    assert decoder.run_.dataset.subjects == {name: (49, 9) for name in betas}
    tested = decoder.run_.predict(betas["ben"], subject="ben")
    np.testing.assert_array_equal(tested.to_numpy(), decoder.predict_proba(betas["ben"], subject=["ben"] * 48))


def test_clones_and_pickles_say_the_same(stacked: dict) -> None:
    decoder = MusedDecoder(settings=QUICK, random_state=3)
    assert clone(decoder).get_params() == decoder.get_params()
    assert decoder.set_params(random_state=4).random_state == 4
    decoder.fit(**stacked)
    expected = decoder.predict_proba(stacked["X"], subject=stacked["subject"])
    packed = pickle.dumps(decoder)
    del decoder
    found = pickle.loads(packed).predict_proba(stacked["X"], subject=stacked["subject"])
    np.testing.assert_array_equal(found, expected)


def test_folds_and_searches_pass_subjects_on(stacked: dict) -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        decoder = MusedDecoder("ridge-separate").set_fit_request(subject=True, groups=True, stimulus=True)
        decoder.set_predict_request(subject=True).set_score_request(subject=True)
        X, y = stacked["X"], stacked["y"]
        params = {name: stacked[name] for name in ("subject", "groups", "stimulus")}
        scores = cross_val_score(decoder, X, y, cv=GroupKFold(3), params=params)
        assert scores.shape == (3,) and np.isfinite(scores).all()
        grid = {"model": ["ridge-separate", "prevalence"]}
        search = GridSearchCV(decoder, grid, cv=GroupKFold(2)).fit(X, y, **params)
        assert search.best_params_ == {"model": "ridge-separate"}


def test_a_pipeline_of_one_person_and_classes(stacked: dict) -> None:
    X, classes = stacked["X"][:48], np.array(["house", "tool", "face"])[stacked["y"][:48].argmax(axis=1)]
    pipeline = make_pipeline(StandardScaler(), MusedDecoder("ridge-separate")).fit(X, classes)
    values = pipeline.predict_proba(X)
    assert list(pipeline.classes_) == ["face", "house", "tool"]
    np.testing.assert_allclose(values.sum(axis=1), 1)
    assert set(pipeline.predict(X)) <= {"face", "house", "tool"}


def test_two_classes_are_one_label(stacked: dict) -> None:
    X, y = stacked["X"][:48], stacked["y"][:48, 0]
    decoder = MusedDecoder("ridge-separate").fit(X, y)
    assert decoder.predict_proba(X).shape == (48, 2) and decoder.decision_function(X).shape == (48,)
    assert ((decoder.decision_function(X) > 0) == (decoder.predict(X) == 1)).all()


def test_what_does_not_fit_is_named(stacked: dict) -> None:
    X, y = stacked["X"], stacked["y"]
    for given, message in [
        (dict(subject=["anna"]), r"subject: expected 144 \(rows\), found 1"),
        (dict(stimulus=["same"] * 144), "y: expected the same labels for all rows of stimulus 'same'"),
        (dict(stimulus=stacked["stimulus"], groups=np.arange(144)), "groups: expected one group of stimulus 's00'"),
    ]:
        with pytest.raises(mused.DataError, match=message):
            MusedDecoder("ridge-separate").fit(X, y, **given)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_it_is_an_estimator() -> None:
    """Every check of scikit-learn. Features of their data follow the labels, which mused takes for a leak unless told."""
    check_estimator(MusedDecoder(settings={**QUICK, "audit.allow": ["label-columns", "near-duplicates"]}))
