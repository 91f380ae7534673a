"""How time and memory grow with the data: more subjects, voxels, labels, stimuli; a table, and a plot beside it.

    python bench/scaling.py MUSED OUT.json [--plot OUT.svg] [--threads 2] [--axes subjects voxels …] [--sizes 8 …]

MUSED is `cargo build --release -p mused`. Every point is a simulated dataset of 12 regions (`mused simulate`, a presentation a
stimulus), the default model trained on it (one split, one epoch) and evaluated. For each: seconds, those of
processors in all threads (other work beside does not change them), and peak memory of `mused train` and `mused evaluate`, and the memory that mused declares before (`mused train --plan`, whose script asks for 5/4 of it and
1 GiB for the program). Points that OUT.json has are kept: a run that was stopped goes on. --plot needs matplotlib.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processor import processor

REGIONS = 12
# Of each axis: its points, and what else the datasets have. Subjects see the same stimuli, but on the last axis nine of ten are
# seen by one subject alone, as in the Natural Scenes Dataset: all stimuli are counted there.
AXES = {
    "subjects": ([8, 40, 200, 1000], dict(voxels=25, labels=10, stimuli=50, shared=1.0)),
    "voxels": ([100, 1000, 5000, 20000], dict(subjects=8, labels=10, stimuli=100, shared=1.0)),
    "labels": ([10, 50, 200, 1000], dict(subjects=8, voxels=25, stimuli=500, shared=1.0)),
    "stimuli": ([1000, 5000, 20000, 100000], dict(subjects=8, voxels=25, labels=10, shared=0.1)),
}
TITLES = {"subjects": "subjects", "voxels": "voxels a region", "labels": "labels", "stimuli": "stimuli"}
SETTINGS = ["--set", "train.epochs=1"]


def run(*command):
    """Seconds, those of processors in all threads together, and peak memory in MB of a command."""
    words = [str(word) for word in command]
    with tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            said.seek(0)
            sys.exit(f"failed: {' '.join(words)}\n{said.read()}")
    return {"seconds": seconds, "processor": used.ru_utime + used.ru_stime, "MB": used.ru_maxrss * 1024 / 1e6}


def declared(script):
    """MB of training, out of what a script of SLURM asks for."""
    asked = int(re.search(r"#SBATCH --mem=(\d+)M", script.read_text())[1])
    return (asked - 1024) * 4 / 5 * 2**20 / 1e6


def megabytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def point(given, axis, size):
    of = {**AXES[axis][1], axis: size}
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        data, trained, plan = (Path(folder) / name for name in ("data", "run", "plan"))
        seen = of["stimuli"]
        if of["shared"] < 1:
            # So many that all subjects together see as many as the point says.
            seen = round(seen / (of["shared"] + of["subjects"] * (1 - of["shared"])))
        sizes = {"subjects": of["subjects"], "voxels": of["voxels"] * REGIONS, "labels": of["labels"], "stimuli": seen}
        options = [word for name, value in sizes.items() for word in (f"--{name}", value)]
        row = {"simulate": run(given.mused, "simulate", *options, "--shared", of["shared"], "--repeats", 1, data)}
        row["dataset MB"] = megabytes(data)
        training = [given.mused, "train", data, "--out", trained, *SETTINGS, "--quiet"]
        row["plan"] = run(*training, "--plan", plan, "--cpus", given.threads)
        row["declared MB"] = declared(plan / "submit.sbatch")
        row["train"] = run(*training, "--threads", given.threads)
        row["evaluate"] = run(given.mused, "evaluate", trained)
        row["run MB"] = megabytes(trained)
        return row


def table(rows):
    lines = ["| | train | evaluate | peak of training | declared | declared ÷ peak | peak of evaluation |", "|" + "---|" * 7]
    for axis in AXES:
        for size, row in sorted(((int(size), row) for size, row in rows.get(axis, {}).items())):
            train, evaluate = row["train"], row["evaluate"]
            lines.append(
                f"| {size:,} {TITLES[axis]} | {train['processor']:.1f} s | {evaluate['processor']:.1f} s | {train['MB']:,.0f} MB "
                f"| {row['declared MB']:,.0f} | {row['declared MB'] / train['MB']:.2f} | {evaluate['MB']:,.0f} |"
            )
    return "\n".join(lines)


def plot(rows, path):
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "mused"
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, len(AXES), figsize=(13, 6), sharey="row", sharex="col", layout="constrained")
    for axis, (above, below) in zip(AXES, panels.T):
        points = sorted((int(size), row) for size, row in rows.get(axis, {}).items())
        sizes = [size for size, _ in points]
        of = lambda command, what: [row[command][what] for _, row in points]
        for command, colour in (("train", "C0"), ("evaluate", "C1")):
            above.plot(sizes, of(command, "processor"), "o-", color=colour, label=command)
            below.plot(sizes, of(command, "MB"), "o-", color=colour, label=command)
        below.plot(sizes, [row["declared MB"] for _, row in points], "s--", color="black", markersize=4, label="train, declared")
        for panel, last in ((above, of("train", "processor")), (below, of("train", "MB"))):
            # What grows with the size alone.
            ends = [sizes[0], sizes[-1]]
            panel.plot(ends, [last[-1] * end / ends[1] for end in ends], ":", color="grey", label="in proportion")
            panel.set(xscale="log", yscale="log")
            panel.grid(alpha=0.3)
        above.set_title(TITLES[axis])
    panels[0, 0].set_ylabel("processor seconds")
    panels[1, 0].set_ylabel("MB at most")
    panels[1, 0].legend()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mused")
    parser.add_argument("out", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--axes", nargs="*", default=list(AXES), choices=list(AXES))
    parser.add_argument("--sizes", nargs="*", type=int, help="those of the points alone")
    parser.add_argument("--folder", help="for datasets of up to 4 GB, removed after their point")
    given = parser.parse_args()
    found = json.loads(given.out.read_text()) if given.out.exists() else {}
    rows = found.setdefault("points", {})
    found.update(processor=processor(), threads=given.threads)
    for axis in given.axes:
        for size in AXES[axis][0]:
            if str(size) in rows.setdefault(axis, {}) or given.sizes and size not in given.sizes:
                continue
            row = {**point(given, axis, size), "load": os.getloadavg()[0]}
            rows[axis][str(size)] = row
            given.out.write_text(json.dumps(found, indent=1))
            print(axis, size, json.dumps(row), flush=True)
    print(table(rows))
    if given.plot:
        plot(rows, given.plot)


if __name__ == "__main__":
    main()
