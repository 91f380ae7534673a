"""Writes tests/files/nsd: a small tree in the layout of the Natural Scenes Dataset, with its names, types, scaling
and 1-based indices, and what numpy and pandas make of it.

    python crates/mused-data/tests/generate_nsd.py

Needs numpy, pandas, scipy, nibabel and h5py. The values are random; nothing of NSD or COCO is in it but the names
and numbers of COCO's categories.
"""

import json
import shutil
from ast import literal_eval
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pandas as pd
from scipy.io import savemat

ROOT = Path(__file__).parent / "files" / "nsd"
VERSION = "betas_fithrf_GLMdenoise_RR"
SUBJECTS = {1: 3, 2: 2}  # numbers of sessions
LENGTH, IMAGES, SHARED, STIMULI = 24, 30, 6, 200
SHAPE = (7, 5, 4)
AFFINE = np.array([[1.8, 0, 0, -40], [0, 1.8, 0, -30], [0, 0, 1.8, 10], [0, 0, 0, 1.0]])
PRF_NAMES = {0: "Unknown", 1: "V1v", 2: "V1d", 3: "V2v", 4: "V2d"}
CATEGORIES = """1 person 2 bicycle 3 car 4 motorcycle 5 airplane 6 bus 7 train 8 truck 9 boat 10 traffic_light
11 fire_hydrant 13 stop_sign 14 parking_meter 15 bench 16 bird 17 cat 18 dog 19 horse 20 sheep 21 cow 22 elephant
23 bear 24 zebra 25 giraffe 27 backpack 28 umbrella 31 handbag 32 tie 33 suitcase 34 frisbee 35 skis 36 snowboard
37 sports_ball 38 kite 39 baseball_bat 40 baseball_glove 41 skateboard 42 surfboard 43 tennis_racket 44 bottle
46 wine_glass 47 cup 48 fork 49 knife 50 spoon 51 bowl 52 banana 53 apple 54 sandwich 55 orange 56 broccoli
57 carrot 58 hot_dog 59 pizza 60 donut 61 cake 62 chair 63 couch 64 potted_plant 65 bed 67 dining_table 70 toilet
72 tv 73 laptop 74 mouse 75 remote 76 keyboard 77 cell_phone 78 microwave 79 oven 80 toaster 81 sink
82 refrigerator 84 book 85 clock 86 vase 87 scissors 88 teddy_bear 89 hair_drier 90 toothbrush""".split()
CATEGORIES = {int(i): name.replace("_", " ") for i, name in zip(CATEGORIES[::2], CATEGORIES[1::2])}

rng = np.random.default_rng(73)


def folder(*parts):
    path = ROOT.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_design():
    """Design file and table of stimuli, with the columns of the release."""
    shared = np.sort(rng.choice(STIMULI, SHARED, replace=False))
    rest = np.setdiff1d(np.arange(STIMULI), shared)
    own = rng.permutation(rest)[: 8 * (IMAGES - SHARED)].reshape(8, -1)
    subjectim = np.concatenate([np.tile(shared, (8, 1)), own], axis=1) + 1
    ordering = rng.permutation(np.repeat(np.arange(IMAGES), 3)) + 1
    experiment = folder("nsddata", "experiments", "nsd")
    savemat(
        experiment / "nsd_expdesign.mat",
        {
            "masterordering": ordering[None].astype(np.uint16),
            "subjectim": subjectim.astype(np.float64),
            "sharedix": shared[None] + 1.0,
        },
    )
    crops = [(0, 0, a, b) for a, b in [(0.125, 0.125), (0.25, 0.0), (0.0, 0.2)]]
    crops += [(a, b, 0, 0) for a, b in [(0.1, 0.1), (0.0, 0.25), (0.2, 0.0)]]
    table = pd.DataFrame(
        {
            "cocoId": 1000 + 7 * rng.permutation(STIMULI),
            "cocoSplit": rng.choice(["train2017", "val2017"], STIMULI, p=[0.8, 0.2]),
            "cropBox": [str(crops[i]) for i in rng.integers(0, len(crops), STIMULI)],
            "loss": rng.uniform(0, 0.2, STIMULI).round(4),
            "nsdId": np.arange(STIMULI),
            "flagged": False,
            "BOLD5000": rng.random(STIMULI) < 0.1,
            "shared1000": np.isin(np.arange(STIMULI), shared),
        }
    )
    for subject in range(8):
        seen = np.zeros(STIMULI, int)
        seen[subjectim[subject] - 1] = 1
        table[f"subject{subject + 1}"] = seen
    for subject in range(8):
        repetitions = np.zeros((STIMULI, 3), int)
        counts = np.zeros(STIMULI, int)
        for trial, image in enumerate(ordering):
            row = subjectim[subject, image - 1] - 1
            repetitions[row, counts[row]] = trial + 1
            counts[row] += 1
        for repetition in range(3):
            table[f"subject{subject + 1}_rep{repetition}"] = repetitions[:, repetition]
    table.to_csv(experiment / "nsd_stim_info_merged.csv")
    return table


def write_coco(table):
    annotations = folder("nsddata_stimuli", "stimuli", "nsd", "annotations")
    with h5py.File(annotations.parent / "nsd_stimuli.hdf5", "w") as file:
        file["imgBrick"] = rng.integers(0, 255, (STIMULI, 2, 2, 3), dtype=np.uint8)
    boxes, captions = {}, {}
    for split in ["train2017", "val2017"]:
        images, instances, texts = [], [], []
        for row in table[table.cocoSplit == split].itertuples():
            top, bottom, left, right = literal_eval(row.cropBox)
            width, height = (640, 480) if top == bottom == 0 else (400, 500)
            images.append({"file_name": f"{row.cocoId:012}.jpg", "height": height, "width": width, "id": row.cocoId})
            mine = []
            for _ in range(rng.integers(0, 3)):
                x, y = rng.uniform(0, 0.9) * width, rng.uniform(0, 0.9) * height
                w, h = rng.uniform(0.02, 0.15) * width, rng.uniform(0.02, 0.15) * height
                mine.append([int(rng.choice(list(CATEGORIES))), [round(v, 2) for v in (x, y, w, h)]])
            if left > 0:  # ends where the crop begins: it shows nothing
                mine.append([90, [0, 10, left * width, 20]])
            if bottom > 0:  # one pixel within
                mine.append([89, [5, (1 - bottom) * height - 1, 30, 50]])
            boxes[row.nsdId] = (mine, (width, height))
            for category, box in mine:
                polygon = [[round(v) for v in (box[0], box[1], box[0] + box[2], box[1], box[0], box[1] + box[3])]]
                instances.append(
                    {"segmentation": polygon, "area": round(box[2] * box[3] / 2), "iscrowd": 0, "image_id": row.cocoId,
                     "bbox": box, "category_id": category, "id": len(instances) + 1}
                )
            captions[row.nsdId] = [f"Picture {row.nsdId} of a  thing, \"{i}\"\n" for i in range(rng.integers(1, 3))]
            texts += [{"image_id": row.cocoId, "id": len(texts) + i, "caption": c} for i, c in enumerate(captions[row.nsdId])]
        head = {"info": {"year": 2017}, "licenses": [{"id": 1}], "images": images}
        names = [{"supercategory": "any", "id": i, "name": name} for i, name in CATEGORIES.items()]
        order = rng.permutation(len(instances))
        for name, annotated, tail in [
            ("instances", [instances[i] for i in order], {"categories": names}),
            ("captions", texts, {}),
        ]:
            text = json.dumps({**head, "annotations": annotated, **tail}, separators=(",", ":"))
            (annotations / f"{name}_{split}.json").write_text(text)
    return boxes, captions


def labels_of(row, boxes):
    """Categories whose box shares an area with the crop."""
    found = set()
    annotated, (width, height) = boxes[row.nsdId]
    top, bottom, left, right = literal_eval(row.cropBox)
    for category, (x, y, w, h) in annotated:
        across = min(x + w, width - right * width) - max(x, left * width)
        down = min(y + h, height - bottom * height) - max(y, top * height)
        if across > 0 and down > 0:
            found.add(category)
    return [int(i in found) for i in CATEGORIES]


def write_rois(subject):
    rois = folder("nsddata", "ppdata", f"subj{subject:02}", "func1pt8mm", "roi")
    cortex = rng.random(SHAPE) < 0.5
    general = np.where(cortex, (rng.random(SHAPE) < 0.3).astype(int), -1)
    prf = np.where(cortex, rng.choice(5, SHAPE, p=[0.6, 0.1, 0.1, 0.1, 0.1]), -1)
    streams = np.where(cortex, rng.choice([0, 1, 5], SHAPE, p=[0.7, 0.15, 0.15]), -1)
    sets = {"nsdgeneral": general, "prf-visualrois": prf, "streams": streams}
    for name, values in sets.items():
        nib.save(nib.Nifti1Image(values.astype(np.float64), AFFINE), rois / f"{name}.nii.gz")
    label = folder("nsddata", "freesurfer", f"subj{subject:02}", "label")
    (label / "prf-visualrois.mgz.ctab").write_text("".join(f"{i} {name}\n" for i, name in PRF_NAMES.items()))
    return sets


def write_betas(subject, sessions):
    main = folder("nsddata_betas", "ppdata", f"subj{subject:02}", "func1pt8mm", VERSION)
    other = folder("nsddata_betas", "ppdata", f"subj{subject:02}", "func1pt8mm", "betas_fithrf")
    runs = []
    for session in range(1, sessions + 1):
        betas = (300 * (rng.standard_normal((*SHAPE, LENGTH)) * rng.uniform(0.3, 3, (*SHAPE, 1)) + 0.8)).astype(np.int16)
        runs.append(betas)
        with h5py.File(main / f"betas_session{session:02}.hdf5", "w") as file:
            # Python's order of axes is MATLAB's reversed.
            file.create_dataset("betas", data=betas.transpose(3, 2, 1, 0), chunks=(LENGTH, 1, 1, 1))
        ending = "nii.gz" if session < 3 else "nii"
        nib.save(nib.Nifti1Image(betas, AFFINE), other / f"betas_session{session:02}.{ending}")
    return np.concatenate(runs, axis=3)


def write_variants(betas):
    """One session in other storage, and of another type."""
    variants = folder("variants")
    values = betas[..., :LENGTH].transpose(3, 2, 1, 0)
    with h5py.File(variants / "contiguous.hdf5", "w") as file:
        file["betas"] = values
    with h5py.File(variants / "blocks.hdf5", "w") as file:
        file.create_dataset("betas", data=values, chunks=(7, 2, 4, 3), compression="gzip", shuffle=True)
    with h5py.File(variants / "float.hdf5", "w") as file:
        file.create_dataset("betas", data=values[:, :1].astype(np.float32), compression="gzip")
    with h5py.File(variants / "other_name.hdf5", "w") as file:
        file.create_dataset("beta", data=values[:, :1], compression="gzip")


def expect(subject, sessions, betas, sets, table):
    """Responses of the default regions and of several sets, by the textbook."""
    nsd_id = np.zeros(len(table) * 3, int) - 1
    for repetition in range(3):
        shown = table[table[f"subject{subject}_rep{repetition}"] > 0]
        nsd_id[shown[f"subject{subject}_rep{repetition}"] - 1] = shown.nsdId
    nsd_id = nsd_id[: sessions * LENGTH]
    train = ~table.shared1000.to_numpy()[nsd_id]

    def pick(names):
        voxels, taken = [], np.zeros(SHAPE, bool)
        for name in names:
            values = sets[name]
            for index in np.unique(values[values > 0]):
                region = {"nsdgeneral": "nsdgeneral", "prf-visualrois": PRF_NAMES.get(int(index))}
                region = region.get(name, f"{name}_{int(index)}")
                inside = (values == index) & ~taken
                voxels += [(region, *map(int, at[::-1])) for at in np.argwhere(inside.transpose(2, 1, 0))]
            taken |= values > 0
        return voxels

    def responses(voxels, zscore, average):
        picked = np.stack([betas[i, j, k] for _, i, j, k in voxels], axis=1).astype(np.float64) / 300
        if zscore:
            for session in range(sessions):
                rows = slice(session * LENGTH, (session + 1) * LENGTH)
                known = picked[rows][train[rows]]
                picked[rows] = (picked[rows] - known.mean(axis=0)) / known.std(axis=0)
        if average:
            order = pd.unique(nsd_id)
            picked = np.stack([picked[nsd_id == shown].mean(axis=0) for shown in order])
        return picked.astype(np.float32).astype(np.float16)

    out = folder("expected")
    default, several = pick(["nsdgeneral"]), pick(["prf-visualrois", "streams", "nsdgeneral"])
    for name, voxels, zscore, average in [
        ("default", default, True, True),
        ("repeats", default, True, False),
        ("raw", default, False, True),
        ("several", several, True, True),
    ]:
        np.save(out / f"subj{subject:02}_{name}.npy", responses(voxels, zscore, average))
    return {"shown": nsd_id.tolist(), "default": default, "several": several}


shutil.rmtree(ROOT, ignore_errors=True)
table = write_design()
boxes, captions = write_coco(table)
expected = {"labels": list(CATEGORIES.values()), "subjects": {}}
for subject, sessions in SUBJECTS.items():
    sets, betas = write_rois(subject), write_betas(subject, sessions)
    if subject == 1:
        write_variants(betas)
    expected["subjects"][f"subj{subject:02}"] = expect(subject, sessions, betas, sets, table)
seen = sorted({i for subject in expected["subjects"].values() for i in subject["shown"]})
rows = table.set_index("nsdId", drop=False).loc[seen]
expected["stimuli"] = [
    {"nsdId": row.nsdId, "shared": row.shared1000, "labels": labels_of(row, boxes),
     "captions": [" ".join(caption.split()) for caption in captions[row.nsdId]]}
    for row in rows.itertuples()
]
(ROOT / "expected" / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")
