"""Writes tests/files/bids: a small BIDS dataset with derivatives, and the responses that numpy and
nilearn compute of it.

    python crates/mused-data/tests/generate_bids.py

Needs numpy, pandas, scipy, nibabel and nilearn (written with 0.14.1).
"""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nilearn.glm.first_level import make_first_level_design_matrix

ROOT = Path(__file__).parent / "files" / "bids"
PREP = ROOT / "derivatives" / "prep"
SHAPE, VOLUMES, TR = (4, 3, 2), 60, 2.0
AFFINE = np.array([[-3, 0, 0, 40], [0, 3, 0, -30], [0, 0, 3.5, 10], [0, 0, 0, 1.0]])
CONFOUNDS = ["trans_x", "a_comp_cor_00", "a_comp_cor_01", "trans_x_derivative1"]

rng = np.random.default_rng(7)
pictures = [(f"face{i}.png", "face", "person;indoor") for i in range(3)]
pictures += [(f"house{i}.png", "house", "building, outdoor") for i in range(3)]


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value) + "\n")


def write_run(subject, run):
    order = rng.permutation(len(pictures))
    rows, onset = [], 2.3
    for picture in order:
        stim_file, kind, content = pictures[picture]
        rows.append((round(onset, 3), 1.5, kind, content, stim_file))
        rows.append((round(onset + 3.1, 3), 0, "button", "n/a", "n/a"))
        onset += 14 + rng.uniform(0, 4)
    rows.append((104.0, 10, "rest", "n/a", "n/a"))
    events = pd.DataFrame(rows, columns=["onset", "duration", "trial_type", "content", "stim_file"])
    raw = ROOT / f"sub-{subject}" / "func"
    raw.mkdir(parents=True, exist_ok=True)
    events.to_csv(raw / f"sub-{subject}_task-see_run-{run}_events.tsv", sep="\t", index=False)

    time = np.arange(VOLUMES) * TR
    signal = 900 + 40 * rng.standard_normal((*SHAPE, VOLUMES)) + 30 * np.sin(time / 40)
    signal = np.round(signal).astype(np.int16)
    image = nib.Nifti1Image(signal, AFFINE)
    image.header.set_zooms((3, 3, 3.5, TR))
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(0.25, 1.5)
    prep = PREP / f"sub-{subject}" / "func"
    prep.mkdir(parents=True, exist_ok=True)
    stem = prep / f"sub-{subject}_task-see_run-{run}"
    nib.save(image, f"{stem}_space-T1w_desc-preproc_bold.nii.gz")
    confounds = pd.DataFrame(rng.standard_normal((VOLUMES, 4)), columns=[*CONFOUNDS[:3], "unused"])
    confounds[CONFOUNDS[3]] = confounds["trans_x"].diff()
    confounds.to_csv(f"{stem}_desc-confounds_timeseries.tsv", sep="\t", index=False, na_rep="n/a")
    data = nib.load(f"{stem}_space-T1w_desc-preproc_bold.nii.gz").get_fdata()
    # i fastest, as voxels are imported.
    return events, data.reshape(-1, VOLUMES, order="F").T, confounds[CONFOUNDS]


def window(events, data, start, end):
    time = np.arange(VOLUMES) * TR
    trials = events[events.trial_type.isin(["face", "house"])]
    return np.array([data[(time >= o + start) & (time < o + end)].mean(0) for o in trials.onset])


def design(events, drift, confounds):
    regressors = None if confounds is None else confounds.fillna(confounds.mean()).to_numpy()
    names = None if confounds is None else list(confounds.columns)
    return make_first_level_design_matrix(
        np.arange(VOLUMES) * TR, events, hrf_model="spm", add_regs=regressors, add_reg_names=names, **drift
    )


def betas(events, data, method, drift, confounds=None, nuisance=False):
    shown = events[events.trial_type.isin(["face", "house"])][["onset", "duration"]].reset_index(drop=True)
    buttons = events[events.trial_type == "button"][["onset", "duration", "trial_type"]]
    rows = []
    for trial in range(len(shown)):
        if method == "lsa":
            shown["trial_type"] = [f"t{i}" for i in range(len(shown))]
        else:
            shown["trial_type"] = [f"t{trial}" if i == trial else "others" for i in range(len(shown))]
        table = pd.concat([shown, buttons]) if nuisance else shown
        matrix = design(table.reset_index(drop=True), drift, confounds)
        fitted = np.linalg.lstsq(matrix.to_numpy(), data, rcond=None)[0]
        rows.append(fitted[list(matrix.columns).index(f"t{trial}")])
    return np.array(rows)


COSINE = {"drift_model": "cosine", "high_pass": 0.01}
POLYNOMIAL = {"drift_model": "polynomial", "drift_order": 3}
expected = {}
for subject in ["01", "02"]:
    runs = [write_run(subject, run) for run in [1, 2]]
    if subject == "01":
        stack = lambda method: np.concatenate([method(*run) for run in runs])
        z = lambda data: (data - data.mean(0)) / data.std(0)
        expected["window"] = stack(lambda e, d, c: window(e, d, 4, 8))
        expected["window_zscore"] = stack(lambda e, d, c: window(e, z(d), 3, 9))
        expected["lsa_cosine"] = stack(lambda e, d, c: betas(e, d, "lsa", COSINE))
        expected["lss_cosine"] = stack(lambda e, d, c: betas(e, d, "lss", COSINE))
        expected["lsa_polynomial_confounds"] = stack(lambda e, d, c: betas(e, d, "lsa", POLYNOMIAL, c))
        expected["lss_all_zscore"] = stack(lambda e, d, c: betas(e, z(d), "lss", COSINE, c, True))
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:3, :, 1] = 1
    nib.save(nib.Nifti1Image(mask, AFFINE), PREP / f"sub-{subject}" / f"sub-{subject}_V1_mask.nii.gz")
    atlas = np.zeros(SHAPE, np.uint8)
    atlas[0], atlas[3], atlas[1, 0] = 7, 2, 9
    nib.save(nib.Nifti1Image(atlas, AFFINE), PREP / f"sub-{subject}" / f"sub-{subject}_dseg.nii.gz")
(PREP / "dseg.tsv").write_text("index\tname\n2\tFFA\n7\tPPA\n")
write_json(ROOT / "dataset_description.json", {"Name": "generated", "BIDSVersion": "1.9.0"})
write_json(ROOT / "task-see_bold.json", {"RepetitionTime": TR, "TaskName": "see"})
np.savez_compressed(ROOT / "expected.npz", **expected)
