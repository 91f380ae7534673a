"""Writes tests/files/hcp: two people's movie runs in the layout, names and element types of the Human
Connectome Project, on a small grid and a small surface, labels in the layout of WordNetFeatures.hdf5,
and the responses that numpy computes of them.

    python crates/mused-data/tests/generate_hcp.py

Needs numpy, nibabel and h5py (written with 5.4.2, 3.16.0).
"""

import gzip
import shutil
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis, ScalarAxis, SeriesAxis

ROOT = Path(__file__).parent / "files" / "hcp"
RUNS = ["tfMRI_MOVIE1_7T_AP", "tfMRI_MOVIE2_7T_PA", "tfMRI_MOVIE3_7T_PA", "tfMRI_MOVIE4_7T_AP"]
MOVIES = ["MOVIE1_CC1", "MOVIE2_HO1", "MOVIE3_CC2", "MOVIE4_HO2"]
SECONDS = [921, 918, 915, 901]
CLIPS = [
    [(26, 231), (289, 505), (531, 705), (740, 797)],
    [(26, 246), (272, 525), (551, 794)],
    [(26, 199), (227, 403), (431, 615), (655, 791)],
    [(26, 252), (278, 502), (528, 777)],
]
SUBJECTS = ["100610", "102311"]
SHAPE = (3, 4, 3)
AFFINE = np.array([[-1.6, 0, 0, 90], [0, 1.6, 0, -126], [0, 0, 1.6, -72], [0, 0, 0, 1.0]])
DELAY = 4

rng = np.random.default_rng(11)
shutil.rmtree(ROOT, ignore_errors=True)
rows = [np.concatenate([np.arange(*clip) for clip in clips]) for clips in CLIPS]


def brain_of(subject):
    """Voxels that vary: outside the brain all is 0, as in the published files."""
    brain = np.zeros(SHAPE, bool)
    brain[:, 1, :] = True
    brain[0, 1, subject] = False
    brain[1, 2, :1 - subject] = True
    return brain


def axis():
    left = BrainModelAxis.from_surface(np.array([0, 2, 3, 7]), 10, "CortexLeft")
    right = BrainModelAxis.from_surface(np.array([1, 9]), 10, "CortexRight")
    mask = np.zeros(SHAPE, bool)
    mask[1, 1, 1] = mask[2, 1, 2] = True
    return left + right + BrainModelAxis.from_mask(mask, "ThalamusLeft", AFFINE)


def signal(places, seconds):
    """Small steps around a level, so that the files stay small."""
    level = rng.integers(8000, 12000, places)[:, None]
    steps = rng.integers(-3, 4, (places, seconds)) * (rng.random((places, seconds)) < 0.2)
    return (level + np.cumsum(steps, 1)).astype(np.float32)


def scaled(values, scale):
    """values: places × volumes, as the importer sees them (float32); all volumes of the run count."""
    values = values.astype(np.float64)
    if scale == "zscore":
        values = (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True)
    if scale == "minmax":  # as the published preprocess_fMRI.py
        least, most = values.min(1, keepdims=True), values.max(1, keepdims=True)
        values = (values - least) / (most - least)
    return values.astype(np.float32)


def responses(runs, scale, places=None, dtype=np.float16):
    """trials × places: of each run the volumes DELAY after the seconds of its clips."""
    parts = []
    for values, seconds in zip(runs, rows):
        values = values if places is None else values[places]
        parts.append(scaled(values, scale)[:, seconds + DELAY].T)
    return np.concatenate(parts).astype(dtype)


expected = {}
for number, subject in enumerate(SUBJECTS):
    brain = brain_of(number)
    volumes, series = [], []
    for run, seconds in zip(RUNS, SECONDS):
        folder = ROOT / subject / "MNINonLinear" / "Results" / run
        folder.mkdir(parents=True)
        data = np.zeros((*SHAPE, seconds), np.float32)
        data[brain] = signal(brain.sum(), seconds)
        image = nib.Nifti1Image(data, AFFINE)
        image.header.set_zooms((1.6, 1.6, 1.6, 1.0))
        image.header.set_xyzt_units("mm", "sec")
        nib.save(image, folder / f"{run}_hp2000_clean.nii.gz")
        # i fastest, as the importer orders the voxels of a brain.
        volumes.append(data.reshape(-1, seconds, order="F")[brain.reshape(-1, order="F")])
        if number == 0:
            values = signal(len(axis()), seconds)
            name = f"{run}_Atlas_1.6mm_MSMAll_hp2000_clean.dtseries.nii"
            image = Cifti2Image(values.T, (SeriesAxis(0, 1, seconds), axis()))
            image.nifti_header["datatype"] = 16
            # Packed by gzip, which the importer reads too: unpacked they would take 250 kB.
            (folder / name).write_bytes(gzip.compress(image.to_bytes(), 9, mtime=0))
            series.append(values)
    expected[f"{subject}_zscore"] = responses(volumes, "zscore")
    if number == 0:
        expected["minmax"] = responses(volumes, "minmax")
        expected["raw"] = responses(volumes, "none", dtype=np.float32)[::9]
        expected["cifti_zscore"] = responses(series, "zscore")

# The atlas of the volume: 1 on one side, 2 on the other, 3 without a name.
atlas = np.zeros(SHAPE, np.int16)
atlas[0], atlas[1], atlas[2] = 2, 3, 1
atlas[~brain_of(0)] = 0
nib.save(nib.Nifti1Image(atlas, AFFINE), ROOT / "atlas.nii.gz")
(ROOT / "atlas.tsv").write_text("index\tname\n1\tright\n2\tleft\n")
flat = atlas.reshape(-1, order="F")[brain_of(0).reshape(-1, order="F")]
order = np.concatenate([np.flatnonzero(flat == 1), np.flatnonzero(flat == 2)])
expected["atlas_zscore"] = expected[f"{SUBJECTS[0]}_zscore"][:, order]

# The atlas of the surface, on vertices the recordings have not all, in another order of structures.
right = BrainModelAxis.from_surface(np.array([1, 5, 9]), 10, "CortexRight")
left = BrainModelAxis.from_surface(np.array([0, 1, 2, 7]), 10, "CortexLeft")
keys = np.array([[4, 2, 2, 2, 0, 0, 4]], np.int32)
table = {0: ("???", (1, 1, 1, 0)), 2: ("R_V1_ROI", (1, 0, 0, 1)), 4: ("L_MT_ROI", (0, 1, 0, 1))}
Cifti2Image(keys, (LabelAxis(["parcels"], [table]), right + left)).to_filename(ROOT / "atlas.dlabel.nii")
# Recordings: left 0 2 3 7, right 1 9, thalamus. 2: left 0, right 9. 4: left 7, right 1.
expected["dlabel_zscore"] = expected["cifti_zscore"][:, [0, 5, 3, 4]]

# Labels: columns whose training frequency is below, at and above 0.1; the last is frequent in run 4 alone.
count, training = 6, sum(len(seconds) for seconds in rows[:3])
matrices = [np.zeros((seconds, count)) for seconds in SECONDS]
for matrix, seconds in zip(matrices, rows):
    matrix[::53, 0] = 1
    matrix[:, 1] = np.repeat(rng.random(31) < 0.3, 30)[: len(matrix)]
    matrix[:, 2] = (np.arange(len(matrix)) // 40) % 2
    matrix[:, 4] = 1
    matrix[seconds, 4] = 0  # only outside the clips
matrices[3][:, 5] = 1
positions = [(run, second) for run in range(3) for second in rows[run]]
for run, second in positions[: int(np.ceil(0.1 * training))]:
    matrices[run][second, 3] = 1
with h5py.File(ROOT / "WordNetFeatures.hdf5", "w") as file:
    for name, matrix in zip(MOVIES, matrices):
        file.create_dataset(name, data=matrix, compression="gzip")
        file[f"{name}_est"] = np.ones(len(matrix))
    file["synsets"] = np.array([b"rare.n.01", b"man.n.01", b"talk.v.02", b"tenth.n.01", b"rest.n.01", b"last.n.01"])
with h5py.File(ROOT / "short.hdf5", "w") as file:  # too short for the clips of run 4
    for name, seconds in zip(MOVIES, [*SECONDS[:3], 770]):
        file.create_dataset(name, data=np.ones((seconds, 1), np.uint8), compression="gzip")
with h5py.File(ROOT / "plain.hdf5", "w") as file:  # no names, datasets by number alone
    for number, seconds in enumerate(SECONDS, 1):
        file.create_dataset(f"movie{number}", data=np.ones((seconds, 2), np.uint8), compression="gzip")
shown = np.concatenate([matrix[seconds] for matrix, seconds in zip(matrices, rows)])
frequent = shown[:training].mean(0) >= 0.1
assert frequent.tolist() == [False, True, True, True, False, False]
expected["labels"] = shown[:, frequent].astype(np.uint8)


# Maps, as `mused map` writes them.
def save_map(name, values):
    data = np.zeros(SHAPE, np.float32)
    flat = data.reshape(-1, order="F")
    flat[np.flatnonzero(brain_of(0).reshape(-1, order="F"))] = values
    nib.save(nib.Nifti1Image(flat.reshape(SHAPE, order="F"), AFFINE), ROOT / name)


stored = expected[f"{SUBJECTS[0]}_zscore"].astype(np.float64)
save_map("mean.nii.gz", stored.mean(0).astype(np.float32))
save_map("sd.nii.gz", stored.std(0).astype(np.float32))
stored = expected["dlabel_zscore"].astype(np.float64)
values = np.zeros((1, len(axis())), np.float32)
values[0, [0, 5, 3, 4]] = stored.mean(0)
Cifti2Image(values, (ScalarAxis(["mean"]), axis())).to_filename(ROOT / "mean.dscalar.nii")

np.savez_compressed(ROOT / "expected.npz", **expected)
