from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import LABELS, REGIONS, STIMULI

import mused


def test_arrays_are_a_dataset(dataset: mused.Dataset, labels: pd.DataFrame, groups: dict[str, str]) -> None:
    assert dataset.subjects == {name: (48, 9) for name in ("anna", "ben", "cleo")}
    assert dataset.stimuli == STIMULI
    assert dataset.labels == LABELS
    assert dataset.groups == groups
    assert dataset.regions == ["V1", "FFA"]
    assert (dataset.label_matrix == labels.to_numpy()).all()
    assert dataset.path is None
    assert "3 subjects, 48 stimuli, 3 labels, 2 regions" in repr(dataset)


def test_a_dataset_is_written_and_opened(dataset: mused.Dataset, betas: dict, tmp_path) -> None:
    written = dataset.write(tmp_path / "data")
    assert written.path == str(tmp_path / "data")
    assert written.subjects == dataset.subjects and written.groups == dataset.groups
    saved = np.load(tmp_path / "data" / "subjects" / "ben" / "responses.npy")
    assert (saved == betas["ben"]).all()
    trials = pd.read_csv(tmp_path / "data" / "subjects" / "ben" / "trials.tsv", sep="\t")
    assert trials["run"].tolist() == [1 + trial // 12 for trial in range(48)]
    with pytest.raises(mused.DataError, match="lies in a directory"):
        written.add("dora", betas["ben"], stimulus=STIMULI)
    with pytest.raises(mused.DataError, match="already exists") as error:
        dataset.write(tmp_path / "data")
    assert error.value.path == tmp_path / "data"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8", "int16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_dtype_and_layout_becomes_the_same_float32(dtype: str, order: str, labels: pd.DataFrame, tmp_path) -> None:
    values = np.arange(48 * 9).reshape(48, 9) % 37
    data = mused.Dataset(labels).add("anna", np.array(values, dtype=dtype, order=order), stimulus=STIMULI)
    data.write(tmp_path / "data")
    saved = np.load(tmp_path / "data" / "subjects" / "anna" / "responses.npy")
    assert saved.dtype == np.float32 and (saved == values).all()


def test_float32_is_read_where_it_lies_and_the_rest_is_copied(labels: pd.DataFrame, betas: dict, tmp_path, caplog) -> None:
    def saved(responses: np.ndarray, place: str) -> float:
        data = mused.Dataset(labels).add("anna", responses, stimulus=STIMULI)
        responses[3, 5] = 77
        data.write(tmp_path / place)
        return np.load(tmp_path / place / "subjects" / "anna" / "responses.npy")[3, 5]

    caplog.set_level("INFO", "mused")
    own = betas["anna"]
    assert saved(own.copy(), "lent") == 77 and not caplog.messages
    wide = np.hstack([own, own])
    assert saved(wide[:, :9], "rows") == 77 and not caplog.messages
    assert saved(own.astype(np.float64), "double") != 77
    assert saved(np.asfortranarray(own.astype(np.float32)[:, ::-1]), "columns") != 77
    assert [message.split(":")[0] for message in caplog.messages] == ["responses of anna are copied"] * 2
    assert "found float64" in caplog.messages[0]


def test_lent_rows_stay_alive_and_are_checked_when_they_are_read(labels: pd.DataFrame, betas: dict, tmp_path) -> None:
    own = betas["anna"].copy()
    data = mused.Dataset(labels).add("anna", own, stimulus=STIMULI)
    own[3, 5] = np.nan
    with pytest.raises(mused.DataError, match=r"expected finite values, found .* in row 3, column 5|trial 3"):
        data.write(tmp_path / "data")
    own[3, 5] = 1
    del own
    assert len(mused.Dataset.open(data.write(tmp_path / "data").path).check().errors) == 0


def test_adding_people_takes_no_memory_for_their_responses() -> None:
    """Of 4 x 2,000 x 1,000 float32."""
    program = """
import resource, sys, numpy, mused
random = numpy.random.default_rng(0)
labels = random.integers(0, 2, (500, 4))
people = [random.standard_normal((2000, 1000), dtype=numpy.float32) for _ in range(4)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = mused.Dataset(labels, list("abcd"))
for number, responses in enumerate(people):
    data.add(f"p{number}", responses, stimulus=[str(trial % 500) for trial in range(2000)])
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024 / sum(responses.nbytes for responses in people))
"""
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.25, done.stdout


def test_columns_of_a_table_are_regions(labels: pd.DataFrame, betas: dict) -> None:
    table = pd.DataFrame(betas["anna"], index=STIMULI, columns=REGIONS)
    assert mused.Dataset(labels).add("anna", table).regions == ["V1", "FFA"]


def test_subjects_of_different_dtype_are_one_dataset(labels: pd.DataFrame, betas: dict) -> None:
    data = mused.Dataset(labels)
    for dtype in ("float32", "float64", "int32"):
        data.add(dtype, betas["anna"].astype(dtype), stimulus=STIMULI)
    assert data.subjects == {name: (48, 9) for name in ("float32", "float64", "int32")}


def test_labels_are_an_array_with_names_too(labels: pd.DataFrame) -> None:
    data = mused.Dataset(labels.to_numpy().astype(bool), LABELS, stimuli=STIMULI)
    assert data.stimuli == STIMULI and (data.label_matrix == labels.to_numpy()).all()
    assert mused.Dataset(labels.to_numpy(), LABELS).stimuli[:2] == ["0", "1"]


def test_tables_are_brought_into_one_order_by_name(labels: pd.DataFrame, groups: dict[str, str], betas: dict) -> None:
    shuffled = labels.sample(frac=1, random_state=3)
    data = mused.Dataset(
        shuffled, stimuli=STIMULI, groups=pd.Series(groups).sample(frac=1, random_state=4), features={"high": shuffled}
    )
    assert (data.label_matrix == labels.to_numpy()).all() and data.groups == groups
    assert data.features == {"high": "high"}
    frame = pd.DataFrame(betas["anna"], index=STIMULI).sample(frac=1, random_state=5)
    assert data.add("anna", frame, roi=REGIONS).subjects == {"anna": (48, 9)}
    with pytest.raises(mused.DataError, match="stimulus: expected the index of responses, found another"):
        data.add("ben", frame, stimulus=pd.Series(STIMULI, index=STIMULI))


def test_dissimilarities_guide(labels: pd.DataFrame) -> None:
    points = np.arange(48.0)
    rdm = np.abs(points[:, None] - points)
    named = pd.DataFrame(rdm, index=STIMULI, columns=STIMULI).sample(frac=1, random_state=2)
    data = mused.Dataset(labels, features={"clip-low": np.ones((48, 2))}, rdms={"model-high": named, "other": rdm})
    assert data.features == {"clip-low": "low", "model-high": "high", "other": None}
    with pytest.raises(mused.DataError, match=r"rdms\['high'\]: expected 48 rows, one a stimulus, found 47"):
        mused.Dataset(labels, rdms={"high": rdm[:47]})


def test_a_check_speaks_of_problems_and_outliers(labels: pd.DataFrame, betas: dict) -> None:
    data = mused.Dataset(labels.assign(never=0))
    for number, responses in enumerate([*betas.values(), *betas.values()]):
        responses = responses * (40 if number == 5 else 1)
        responses[:, 0] = 1
        data.add(f"p{number}", responses, stimulus=STIMULI)
    found = data.check()
    assert found.errors == ["no stimulus has the label never: remove it from labels.tsv and labels.npy"]
    assert "subject p0: 1 of 9 voxels never vary; they are ignored" in found.warnings
    assert len(found.outliers) == 1 and "subject p5: responses vary" in found.outliers[0]
    assert str(found).splitlines()[0].startswith("error: no stimulus")
    with pytest.raises(mused.DataError, match="never"):
        mused.train(data, "nowhere")


def missing(value: np.ndarray) -> np.ndarray:
    value = value.astype(float)
    value[3, 5] = np.nan
    return value


BAD = {
    "a dimension": (
        dict(responses=np.ones(48)),
        r"responses: expected 2 dimensions \(trials x voxels\), found shape \(48,\)",
    ),
    "objects": (dict(responses=[[1, "a"]] * 48), "responses: expected real numbers, found dtype <U"),
    "ragged": (
        dict(responses=np.array([[1, 2], [1]] * 24, dtype=object)),
        r"responses: expected an array of numbers, found objects \(list\)",
    ),
    "complex": (dict(responses=np.ones((48, 9), dtype=complex)), "responses: expected real numbers, found dtype complex128"),
    "nan": (
        dict(responses=missing(np.ones((48, 9)))),
        r"responses: expected finite values, found NaN in row 3, column 5 \(from 0\)",
    ),
    "too large": (dict(responses=np.full((48, 9), 1e300)), "responses: expected finite values, found inf in row 0"),
    "no stimuli": (dict(stimulus=None), "stimulus: expected the ids of the stimuli shown"),
    "few stimuli": (dict(stimulus=STIMULI[:-1]), r"stimulus: expected 48 \(trials\), found 47"),
    "unknown": (
        dict(stimulus=[*STIMULI[:-1], "x9"]),
        "stimulus: expected ids of the 48 stimuli of labels, such as 's00', found 'x9' in trial 47",
    ),
    "nan stimulus": (dict(stimulus=[np.nan, *STIMULI[1:]]), "stimulus: expected a name, found nan in place 0"),
    "text": (dict(stimulus="s00"), "stimulus: expected a list of names, found 's00'"),
    "rois": (dict(roi=["V1"] * 8), r"roi: expected 9 \(voxels\), found 8"),
    "run from 0": (dict(run=np.arange(48)), "run: expected whole numbers from 1, found 0 to 47"),
    "runs": (dict(run=[1] * 47), r"run: expected 48 \(trials\), found 47"),
    "half a session": (
        dict(session=[1.5] * 48),
        "session: expected whole numbers from 1, a trial each, found dtype float64",
    ),
    "twice": (dict(subject="ben"), "ben"),
    "a path": (dict(subject="../x"), r"\.\./x"),
    "nothing": (dict(responses=np.ones((0, 9)), stimulus=[]), "expected at least one trial and one voxel"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_responses_is_named(case: str, dataset: mused.Dataset) -> None:
    given = dict(subject="dora", responses=np.ones((48, 9)), stimulus=STIMULI)
    changed, message = BAD[case]
    with pytest.raises(mused.DataError, match=message):
        dataset.add(**{**given, **changed})
    assert len(dataset.subjects) == 3


def test_what_is_wrong_with_stimuli_is_named(labels: pd.DataFrame) -> None:
    array = labels.to_numpy()
    for arguments, message in [
        ((array,), r"labels: expected a DataFrame, or an array with names"),
        ((array, ["face", "house"]), r"names: expected 3 \(columns of labels\), found 2"),
        ((array, ["face", "face", "tool"]), '"face" occurs twice'),
        ((array * 2, LABELS), "labels: expected 0 or 1, found 2 for stimulus '0', label 'face'"),
        ((labels.replace(1, np.nan),), "labels: expected 0 or 1, found nan for stimulus 's00', label 'face'"),
        ((labels, LABELS), "the columns of labels name them already"),
        ((pd.concat([labels, labels]),), "occurs twice"),
    ]:
        with pytest.raises(mused.DataError, match=message):
            mused.Dataset(*arguments)
    for keywords, message in [
        (dict(groups={"s00": "a"}), "groups: expected one for each of 48 stimuli, found none for 47 of them, such as 's01'"),
        (dict(groups=["a"] * 47), r"groups: expected 48 \(stimuli\), found 47"),
        (dict(stimuli=[*STIMULI, "s48"]), "labels: expected one for each of 49 stimuli, found none for 1 of them"),
        (dict(features={"high": array[:40]}), r"features\['high'\]: expected 48 rows, one a stimulus, found 40"),
    ]:
        with pytest.raises(mused.DataError, match=message):
            mused.Dataset(labels, **keywords)


def test_nobody_is_no_dataset(labels: pd.DataFrame) -> None:
    empty = mused.Dataset(labels)
    assert empty.subjects == {}
    with pytest.raises(mused.DataError, match="48 stimuli and 0 subjects"):
        empty.check()
