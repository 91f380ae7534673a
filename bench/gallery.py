#!/usr/bin/env python3
"""1,000 responses of a subject looked up among 74,000 pictures of 512 features: `mused retrieve` beside NumPy, in turns.

    bench/gallery.py --mused target/release/mused --runs 3 FOLDER

What the gallery takes is the command with it less the command without: features are read, near-duplicates of test and training
pictures found, and two decoders looked up, the model and ridge regression. NumPy has the points and looks both up: ranks, and
the first ten of the model; no near-duplicates.
"""
import argparse, os, pathlib, resource, subprocess, sys, time

import numpy as np

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--mused", default="mused")
parser.add_argument("--runs", type=int, default=3)
parser.add_argument("--numpy", action="store_true", help=argparse.SUPPRESS)
args = parser.parse_args()
mused = str(pathlib.Path(args.mused).resolve()) if os.sep in args.mused else args.mused
stimuli, voxels, width, others = 5000, 400, 512, 68000


def timed(*words):
    start = time.perf_counter()
    process = subprocess.Popen(words, cwd=args.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(process.stderr.read())
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e6, said


def in_numpy():
    gallery = np.load(args.folder / "gallery.npy")
    start = time.perf_counter(), time.process_time()
    gallery = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    for name in ["points.npy", "points_ridge.npy"]:
        points = np.load(args.folder / "run/retrieval" / name)
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
        for first in range(0, len(points), 100):
            cosines = points[first : first + 100] @ gallery.T
            own = cosines[np.arange(len(cosines)), first + np.arange(len(cosines))]
            (cosines > own[:, None]).sum(axis=1)
            if name == "points.npy":
                np.argpartition(-cosines, 10, axis=1)[:, :10]
    print(time.perf_counter() - start[0], time.process_time() - start[1])


if args.numpy:
    in_numpy()
    sys.exit()
if not args.folder.exists():
    (args.folder / "source").mkdir(parents=True)
    draw = np.random.default_rng(0)
    features = draw.standard_normal((stimuli, width), dtype="f4")
    responses = features @ draw.standard_normal((width, voxels), dtype="f4") / 20 + draw.standard_normal((stimuli, voxels), dtype="f4")
    source = args.folder / "source"
    np.save(source / "s1.npy", responses)
    names = [f"p{index}" for index in range(stimuli)]
    for name in ["stimuli.tsv", "s1_trials.tsv"]:
        (source / name).write_text("\n".join(["stimulus_id", *names]) + "\n")
    labels = [f"{name}\t" + "\t".join(str(int(value > 1)) for value in row[:10]) for name, row in zip(names, features)]
    (source / "labels.tsv").write_text("\n".join(["\t".join(["stimulus_id", *(f"l{k}" for k in range(10))]), *labels]) + "\n")
    np.save(args.folder / "gallery.npy", np.vstack([draw.standard_normal((others, width), dtype="f4"), features]))
    timed(mused, "import", "npy", "source", "data")
    (args.folder / "data/features/image").mkdir(parents=True)
    np.save(args.folder / "data/features/image/features.npy", features)
    (args.folder / "data/features/image/feature.json").write_text('{"level":"high","description":"drawn"}')
    timed(mused, "train", "data", "--out", "run", "--model", "ridge-separate")
print("wall and processor seconds, gigabytes")
for _ in range(args.runs):
    without = timed(mused, "retrieve", "run")
    found = timed(mused, "retrieve", "run", "--gallery", "gallery.npy")
    print(f"mused retrieve {found[0]:6.2f} {found[1]:6.2f} {found[2]:5.2f}   of which the gallery {found[0] - without[0]:6.2f} {found[1] - without[1]:6.2f}")
    beside = timed(sys.executable, str(pathlib.Path(__file__).resolve()), "--numpy", ".")
    wall, processor = map(float, beside[3].split())
    print(f"NumPy          {beside[0]:6.2f} {beside[1]:6.2f} {beside[2]:5.2f}   of which the gallery {wall:6.2f} {processor:6.2f}", flush=True)
