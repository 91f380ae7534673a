"""Arrays of maskers in, images out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import LABELS, QUICK, STIMULI, shared

import mused

nilearn = pytest.importorskip("nilearn", reason="nilearn is not installed")
nibabel = pytest.importorskip("nibabel")

from nilearn.maskers import NiftiLabelsMasker, NiftiMasker  # noqa: E402

from mused.nilearn import image, importance, plot_importance, regions  # noqa: E402

AFFINE = np.diag([3.0, 3, 3, 1])


@pytest.fixture(scope="module")
def recorded(labels: pd.DataFrame) -> dict[str, object]:
    """Volumes in which the labels drive a corner, and an atlas of two regions."""
    random = np.random.default_rng(5)
    atlas = np.zeros((4, 4, 4), dtype=np.int32)
    atlas[:2, :2, :2], atlas[2:, 2:, 2:] = 1, 2
    patterns = random.normal(size=(len(LABELS), 4, 4, 4)) * (atlas == 1)
    images = {}
    for name in ("anna", "ben"):
        volumes = np.tensordot(patterns, labels.to_numpy(), (0, 1)) + random.normal(size=(4, 4, 4, len(STIMULI)))
        images[name] = nibabel.Nifti1Image(volumes.astype(np.float32), AFFINE)
    mask = nibabel.Nifti1Image((atlas > 0).astype(np.uint8), AFFINE)
    return {"images": images, "atlas": nibabel.Nifti1Image(atlas, AFFINE), "mask": mask}


def test_maskers_in_and_images_out(recorded: dict, labels: pd.DataFrame, tmp_path) -> None:
    masker = NiftiMasker(recorded["mask"], standardize=None).fit()
    roi = regions(masker, recorded["atlas"], ["early", "late"])
    assert roi.count("early") == roi.count("late") == 8 and regions(masker) == ["brain"] * 16
    data = mused.Dataset(labels)
    for name, volumes in recorded["images"].items():
        data.add(name, masker.transform(volumes), stimulus=STIMULI, roi=roi)
    run = mused.train(data, tmp_path / "run", progress=False, **QUICK)
    for label in (None, "face"):
        lost = run.regions(label)["AUC lost"].fillna(0)  # where no AUC is defined
        values = importance(run, masker, roi, label).get_fdata()
        atlas = recorded["atlas"].get_fdata()
        assert values.shape == (4, 4, 4) and (values[atlas == 0] == 0).all()
        np.testing.assert_allclose(values[atlas == 1], lost["early"], atol=1e-6)
        np.testing.assert_allclose(values[atlas == 2], lost["late"], atol=1e-6)
    rows = image(np.arange(32.0).reshape(2, 16), masker)
    np.testing.assert_allclose(masker.transform(rows), np.arange(32.0).reshape(2, 16))
    with pytest.raises(mused.DataError, match="roi: expected the regions of the run's voxels"):
        importance(run, masker, ["early"] * 16)
    pytest.importorskip("matplotlib").use("Agg")
    display = plot_importance(run, masker, roi, "face")
    display.savefig(tmp_path / "brain.png")
    display.close()
    assert (tmp_path / "brain.png").stat().st_size > 1000


def test_regions_of_a_labels_masker_have_its_names(recorded: dict, labels: pd.DataFrame) -> None:
    masker = NiftiLabelsMasker(recorded["atlas"], labels=["Background", "early", "late"], standardize=None)
    responses = masker.fit_transform(recorded["images"]["anna"])
    assert regions(masker) == ["early", "late"]
    data = mused.Dataset(labels).add("anna", responses, stimulus=STIMULI, roi=regions(masker))
    assert data.regions == ["early", "late"]


def test_the_haxby_slice_is_what_import_bids_makes_of_it(tmp_path) -> None:
    root = shared("haxby2001-one-slice") / "haxby2001"
    of_run = "sub{subject}/BOLD/task{task}_run{run}"
    data = mused.import_bids(
        root,
        tmp_path / "haxby",
        bold=f"{of_run}/bold_1slice.nii.gz",
        events=f"{of_run}/bold_events.tsv",
        allow="constant-voxels",
    )
    folder = tmp_path / "haxby" / "subjects" / "sub-001"
    trials = pd.read_csv(folder / "trials.tsv", sep="\t")
    places = pd.read_csv(folder / "voxels.tsv", sep="\t")[["i", "j", "k"]].to_numpy()
    responses = np.load(folder / "responses.npy")
    assert data.subjects == {"sub-001": (96, 530)} and trials["run"].nunique() == 12
    for run, of_run in trials.groupby("run"):
        files = root / "sub001" / "BOLD" / f"task001_run{run:03}"
        bold = nibabel.load(files / "bold_1slice.nii.gz")
        inside = np.zeros(bold.shape[:3], dtype=np.uint8)
        inside[tuple(places.T)] = 1
        masker = NiftiMasker(nibabel.Nifti1Image(inside, bold.affine), standardize=None).fit()
        # Columns of the masker run as the mask does.
        columns = np.cumsum(inside.ravel()).reshape(inside.shape)[tuple(places.T)] - 1
        series = masker.transform(bold)[:, columns].astype(np.float64)
        times = 2.5 * np.arange(len(series))
        events = pd.read_csv(files / "bold_events.tsv", sep="\t")
        for trial, (onset, duration) in zip(of_run.index, events[["onset", "duration"]].to_numpy(), strict=True):
            mean = series[(times >= onset + 4) & (times < onset + 4 + duration)].mean(axis=0)
            np.testing.assert_allclose(responses[trial], mean, rtol=1e-6)
