from __future__ import annotations

import pickle

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", "1.6")

import pandas as pd  # noqa: E402
from conftest import LABELS, STIMULI, filled  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import UnsetMetadataPassedError  # noqa: E402
from sklearn.metrics import accuracy_score, roc_auc_score  # noqa: E402
from sklearn.model_selection import (  # noqa: E402
    GridSearchCV,
    GroupKFold,
    KFold,
    PredefinedSplit,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

import mused  # noqa: E402
from mused.sklearn import MusedDecoder, stacked  # noqa: E402

QUICK = {"model.dim": 16, "model.heads": 2, "train.epochs": 3, "train.batch_size": 16}


@pytest.fixture(scope="module")
def rows(betas: dict, labels) -> dict[str, np.ndarray]:
    """Rows of all people, one below the other."""
    people = len(betas)
    return {
        "X": np.vstack(list(betas.values())),
        "y": np.tile(labels.to_numpy(), (people, 1)),
        "subject": np.repeat(list(betas), len(STIMULI)),
        "stimulus": np.tile(STIMULI, people),
        "groups": np.tile([f"clip{number // 2}" for number in range(len(STIMULI))], people),
    }


def test_labels_are_learned_and_predicted(rows: dict) -> None:
    decoder = MusedDecoder("ridge-separate").fit(**rows)
    values = decoder.predict_proba(rows["X"], subject=rows["subject"])
    assert values.shape == (144, len(LABELS))
    assert roc_auc_score(rows["y"], values) > 0.7
    predicted = decoder.predict(rows["X"], subject=rows["subject"])
    assert ((values > 0.5) == predicted).all()
    logits = decoder.decision_function(rows["X"], subject=rows["subject"])
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), values, atol=1e-6)
    score = decoder.score(rows["X"], rows["y"], subject=rows["subject"])
    assert score == accuracy_score(rows["y"], predicted)


def test_the_model_is_that_of_train(rows: dict, labels, betas: dict) -> None:
    decoder = MusedDecoder(settings=QUICK).fit(**rows)
    assert decoder.run_.dataset.subjects == {name: (49, 9) for name in betas}
    tested = decoder.run_.predict(betas["ben"], subject="ben")
    np.testing.assert_array_equal(tested.to_numpy(), decoder.predict_proba(betas["ben"], subject=["ben"] * 48))


def test_clones_and_pickles_say_the_same(rows: dict) -> None:
    decoder = MusedDecoder(settings=QUICK, random_state=3)
    assert clone(decoder).get_params() == decoder.get_params()
    assert decoder.set_params(random_state=4).random_state == 4
    decoder.fit(**rows)
    expected = decoder.predict_proba(rows["X"], subject=rows["subject"])
    packed = pickle.dumps(decoder)
    del decoder
    found = pickle.loads(packed).predict_proba(rows["X"], subject=rows["subject"])
    np.testing.assert_array_equal(found, expected)


def test_folds_and_searches_pass_subjects_on(rows: dict) -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        decoder = MusedDecoder("ridge-separate").set_fit_request(subject=True, groups=True, stimulus=True)
        decoder.set_predict_request(subject=True).set_score_request(subject=True)
        X, y = rows["X"], rows["y"]
        params = {name: rows[name] for name in ("subject", "groups", "stimulus")}
        scores = cross_val_score(decoder, X, y, cv=GroupKFold(3), params=params)
        assert scores.shape == (3,) and np.isfinite(scores).all()
        grid = {"model": ["ridge-separate", "prevalence"]}
        search = GridSearchCV(decoder, grid, cv=GroupKFold(2)).fit(X, y, **params)
        assert search.best_params_ == {"model": "ridge-separate"}


def test_folds_are_those_of_the_command(labels, groups: dict, betas: dict, tmp_path) -> None:
    """The folds of a run, as scikit-learn divides by: the same scores, from the same models."""
    data = filled(mused.Dataset(labels, groups=groups), betas)
    run = mused.train(data, tmp_path / "run", "ridge-separate", folds=3, progress=False)
    split = pd.read_csv(tmp_path / "run" / "split.tsv", sep="\t")
    fold = split[split["part"] == "test"].set_index("stimulus_id")["fold"]
    people = [(name, stimulus) for name in betas for stimulus in STIMULI]
    X, y = np.vstack(list(betas.values())), np.tile(labels.to_numpy(), (3, 1))
    params = {
        "subject": [name for name, _ in people],
        "stimulus": [stimulus for _, stimulus in people],
        "groups": [groups[stimulus] for _, stimulus in people],
    }
    cv = PredefinedSplit([fold[stimulus] for _, stimulus in people])
    with sklearn.config_context(enable_metadata_routing=True):
        decoder = MusedDecoder("ridge-separate").set_fit_request(subject=True, stimulus=True, groups=True)
        decoder.set_score_request(subject=True)
        scores = cross_val_score(decoder, X, y, cv=cv, params=params)
    expected = run.predictions().loc[people].to_numpy()
    of = np.array([fold[stimulus] for _, stimulus in people])
    right = ((expected > 0.5) == y).all(axis=1)
    assert scores.tolist() == [right[of == number].mean() for number in range(3)]


def test_a_pipeline_passes_subjects_on(rows: dict) -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        decoder = MusedDecoder("ridge-separate").set_fit_request(subject=True).set_score_request(subject=True)
        pipeline = make_pipeline(StandardScaler(), decoder.set_predict_request(subject=True))
        params = {"subject": rows["subject"]}
        scores = cross_val_score(pipeline, rows["X"], rows["y"], cv=KFold(3, shuffle=True, random_state=0), params=params)
        search = GridSearchCV(pipeline, {"museddecoder__model": ["ridge-separate", "prevalence"]}, cv=KFold(2, shuffle=True))
        search.fit(rows["X"], rows["y"], **params)
        assert np.isfinite(scores).all() and np.isfinite(search.cv_results_["mean_test_score"]).all()
        with pytest.raises(UnsetMetadataPassedError, match="subject"):
            cross_val_score(MusedDecoder("ridge-separate"), rows["X"], rows["y"], params=params)


def test_a_pipeline_of_one_person_and_classes(rows: dict) -> None:
    X, classes = rows["X"][:48], np.array(["house", "tool", "face"])[rows["y"][:48].argmax(axis=1)]
    pipeline = make_pipeline(StandardScaler(), MusedDecoder("ridge-separate")).fit(X, classes)
    values = pipeline.predict_proba(X)
    assert list(pipeline.classes_) == ["face", "house", "tool"]
    np.testing.assert_allclose(values.sum(axis=1), 1)
    assert set(pipeline.predict(X)) <= {"face", "house", "tool"}


def test_two_classes_are_one_label(rows: dict) -> None:
    X, y = rows["X"][:48], rows["y"][:48, 0]
    decoder = MusedDecoder("ridge-separate").fit(X, y)
    assert decoder.predict_proba(X).shape == (48, 2) and decoder.decision_function(X).shape == (48,)
    assert ((decoder.decision_function(X) > 0) == (decoder.predict(X) == 1)).all()


def test_people_have_voxels_of_their_own(rows: dict, betas: dict) -> None:
    people = {"anna": betas["anna"], "ben": betas["ben"][:, :5]}
    X, subject = stacked(people)
    assert X.shape == (96, 9) and np.isnan(X[48:, 5:]).all() and subject == ["anna"] * 48 + ["ben"] * 48
    rois = {"anna": ["V1"] * 5 + ["FFA"] * 4, "ben": ["V1"] * 3 + ["FFA"] * 2}
    for roi in (None, rois, rois["anna"]):
        decoder = MusedDecoder("ridge-separate", roi=roi).fit(X, rows["y"][:96], subject=subject)
        assert decoder.run_.dataset.subjects == {"anna": (49, 9), "ben": (49, 5)}
    found = decoder.predict_proba(X[48:], subject=["ben"] * 48)
    alone = MusedDecoder("ridge-separate").fit(people["ben"], rows["y"][:48])
    np.testing.assert_allclose(found, alone.predict_proba(people["ben"]), atol=1e-6)
    with pytest.raises(mused.DataError, match="subject: expected one of anna, ben, found 'cleo'"):
        decoder.predict(X[:1], subject=["cleo"])
    X[50, 2] = np.nan
    with pytest.raises(mused.DataError, match="responses: expected finite values, found NaN in row 0, column 2"):
        decoder.predict(X[50:51], subject=["ben"])
    with pytest.raises(mused.DataError, match="responses: expected finite values, found NaN in row 2, column 2"):
        MusedDecoder("ridge-separate").fit(X, rows["y"][:96], subject=subject)
    with pytest.raises(mused.DataError, match="roi: expected regions of subject 'ben', found those of anna"):
        MusedDecoder("ridge-separate", roi={"anna": rois["anna"]}).fit(X, rows["y"][:96], subject=subject)


def test_a_dict_or_list_of_people_is_read_as_it_is(rows: dict, betas: dict, labels, groups: dict) -> None:
    people = {"anna": betas["anna"], "ben": betas["ben"][:, :5]}
    X, subject = stacked(people)
    shown = {name: STIMULI for name in people}
    of_all = dict(stimulus=STIMULI * 2, groups=[groups[stimulus] for stimulus in STIMULI * 2])
    expected = MusedDecoder("ridge-separate").fit(X, rows["y"][:96], subject=subject, **of_all)
    values = expected.predict_proba(X, subject=subject)
    clips = [[groups[stimulus] for stimulus in STIMULI]] * 2
    named = MusedDecoder("ridge-separate").fit(people, dict.fromkeys(people, labels), stimulus=shown, groups=clips)
    found = named.predict_proba(people)
    assert list(found) == ["anna", "ben"] and found["ben"].shape == (48, 3)
    np.testing.assert_array_equal(np.vstack(list(found.values())), values)
    # One person alone, who has fewer voxels than the widest.
    np.testing.assert_array_equal(named.predict({"ben": people["ben"]})["ben"], values[48:] > 0.5)
    right = expected.score(X, rows["y"][:96], subject=subject)
    assert named.score(people, dict.fromkeys(people, labels)) == named.score(people, rows["y"][:96]) == right
    listed = MusedDecoder("ridge-separate").fit(
        list(people.values()), [labels, labels.to_numpy()], ["anna", "ben"], **of_all
    )
    np.testing.assert_array_equal(np.vstack(listed.predict_proba(list(people.values()), ["anna", "ben"])), values)
    unnamed = MusedDecoder("ridge-separate").fit(list(people.values()), rows["y"][:96])
    assert (
        list(unnamed.columns_) == ["subject 1", "subject 2"] and len(unnamed.decision_function(list(people.values()))) == 2
    )


def test_what_does_not_fit_of_a_dict_is_named(betas: dict, labels) -> None:
    people = {"anna": betas["anna"], "ben": betas["ben"][:, :5]}
    y = dict.fromkeys(people, labels)
    decoder = MusedDecoder("ridge-separate").fit(people, y)
    for X, given, message in [
        (people, dict(y=labels), "y: expected 96 rows, or the rows of each of 2 subjects, found 48"),
        (people, dict(y={"anna": labels}), "y: expected that of subject 'ben', found that of anna"),
        (people, dict(y={**y, "ben": labels[:9]}), "y: expected 48 rows of subject 'ben', as X has, found 9"),
        (people, dict(y=y, subject=["anna"]), "subject: expected none, since X is a dict"),
        ({}, dict(y=y), "people: expected at least one, found none"),
        (list(people.values()), dict(y=[labels] * 2, subject=["anna"] * 2), "subject: expected 2 different names"),
    ]:
        with pytest.raises(mused.DataError, match=message):
            MusedDecoder("ridge-separate").fit(X, **given)
    for X, message in [
        ({"ben": betas["ben"]}, "X: expected 5 voxels of subject 'ben', as in fit, found 9"),
        ({"cleo": betas["cleo"]}, "subject: expected one of anna, ben, found 'cleo'"),
    ]:
        with pytest.raises(mused.DataError, match=message):
            decoder.predict(X)


def test_what_does_not_fit_is_named(rows: dict) -> None:
    X, y = rows["X"], rows["y"]
    for given, message in [
        (dict(subject=["anna"]), r"subject: expected 144 \(rows\), found 1"),
        (dict(stimulus=["same"] * 144), "y: expected the same labels for all rows of stimulus 'same'"),
        (dict(stimulus=rows["stimulus"], groups=np.arange(144)), "groups: expected one group of stimulus 's00'"),
    ]:
        with pytest.raises(mused.DataError, match=message):
            MusedDecoder("ridge-separate").fit(X, y, **given)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_it_is_an_estimator() -> None:
    """Every check of scikit-learn. Features of their data follow the labels, which mused takes for a leak unless told."""
    check_estimator(MusedDecoder(settings={**QUICK, "audit.allow": ["label-columns", "near-duplicates"]}))
