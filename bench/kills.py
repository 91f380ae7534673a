"""Kills mused at random moments, lets it go on, and holds what it made against an undisturbed run.

    python3 bench/kills.py --mused target/release/mused --kills 500 --seed 0
    python3 bench/kills.py --mused target/release/mused --each-operation --only train-each   # with strace

A chain is: a command, killed (SIGKILL) up to four times at moments drawn over its undisturbed time, half of them while it
saves because of a SIGTERM; after each kill the same command, with --resume where the first message says so; at last to its
end. Lost is what does not end with code 0, differs from the undisturbed run in a byte (times of day and places excepted),
or leaves litter. With --each-operation there is a chain of one kill for each operation on files: strace kills the process
there. Standard library alone.
"""

import argparse
import json
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
CLIP = HERE / "crates/mused-clip/tests/golden/clip_tiny"
PICTURES = HERE / "crates/mused/tests/fixtures"
FILES = HERE / "crates/mused-data/tests/files"
BIDS = FILES / "bids"
# What says when, where or how long, and no more.
TIMED = re.compile(rb'"(time|started|finished|path|seconds)": ?("[^"]*"|[0-9.]+)')
OPERATIONS = ("open,openat,creat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,"
              "mkdirat,rmdir,ftruncate")


def simulate(mused, folder, stimuli=60):
    command = [mused, "simulate", "--spaces", "common", "--subjects", "2", "--stimuli", str(stimuli), "--seed", "1", "data"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def trained(mused, folder, *more):
    simulate(mused, folder)
    subprocess.run([mused, "train", "data", "--out", "run", "--folds", "2", *more], cwd=folder, check=True,
                   capture_output=True)


def left_out(mused, folder):
    """A run of three people, and data of a fourth."""
    command = [mused, "simulate", "--subjects", "4", "--stimuli", "60", "--shared", "1", "--labels", "4", "--voxels", "60",
               "--repeats", "1", "--seed", "2", "all"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    shutil.copytree(folder / "all", folder / "others", ignore=shutil.ignore_patterns("sub-04"))
    command = [mused, "train", "others", "--out", "source", "--folds", "2", *TINY, "--set", "train.ridge=false"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def worded(mused, folder):
    """A run, and words with vectors of their own."""
    trained(mused, folder, *RIDGE)
    (folder / "words.txt").write_text("car\nsky\ndog\ncat\n")
    numbers(folder / "v.npy", 4, 64)


def few(_mused, folder):
    """A person as arrays: 24 stimuli of four runs."""
    given = folder / "given"
    given.mkdir()
    rows = range(24)
    (given / "stimuli.tsv").write_text("stimulus_id\tgroup\n" + "".join(f"s{i}\tg{i // 6}\n" for i in rows))
    (given / "labels.tsv").write_text("stimulus_id\ta\tb\n" + "".join(f"s{i}\t{i % 2}\t{i % 3 // 2}\n" for i in rows))
    numbers(given / "anna.npy", 24, 6)
    (given / "anna_trials.tsv").write_text("stimulus_id\n" + "".join(f"s{i}\n" for i in rows))


def pictured(_mused, folder):
    """A dataset of one subject and forty pictures, and a small CLIP model."""
    model, subject = folder / "model", folder / "data/subjects/sub-01"
    model.mkdir(), subject.mkdir(parents=True)
    for name in ["config.json", "model.safetensors", "vocab.json", "merges.txt"]:
        shutil.copy(CLIP / name, model / name)
    count = 40
    rows = range(count)
    table = "stimulus_id\tfile\tcaption\n" + "".join(f"s{i}\tp{i}.png\ta picture {i}\n" for i in rows)
    (folder / "data/stimuli.tsv").write_text(table)
    for i in rows:
        shutil.copy(PICTURES / f"stimulus_{i % 4}.png", folder / f"data/p{i}.png")
    (folder / "data/dataset.json").write_text(
        '{"format": "mused-dataset/1", "name": "p", "kind": "roi", "response": "voxels"}')
    (folder / "data/labels.tsv").write_text("label\nanimal\n")
    npy(folder / "data/labels.npy", "|u1", (count, 1), bytes(i % 2 for i in rows))
    (subject / "trials.tsv").write_text("stimulus_id\n" + "".join(f"s{i}\n" for i in rows))
    (subject / "voxels.tsv").write_text("roi\nV1\nV1\n")
    numbers(subject / "responses.npy", count, 2)


def arrays(_mused, folder):
    """Four subjects as arrays and tables."""
    given = folder / "given"
    given.mkdir()
    rows = range(100)
    (given / "stimuli.tsv").write_text("stimulus_id\n" + "".join(f"s{i}\n" for i in rows))
    (given / "labels.tsv").write_text(
        "stimulus_id\ta\tb\n" + "".join(f"s{i}\t{i % 2}\t{i % 3 // 2}\n" for i in rows))
    for subject in range(4):
        numbers(given / f"sub-{subject:02}.npy", 100, 6000, subject)
        trials = "stimulus_id\trun\n" + "".join(f"s{i}\t{i // 25 + 1}\n" for i in rows)
        (given / f"sub-{subject:02}_trials.tsv").write_text(trials)


MANIFEST = """name = "small"
licence = "CC0-1.0"
citation = "nobody"
[stimuli]
count = 4
id = "s{index}"
[labels]
words = ["words.txt"]
[responses]
path = "sub-{subject}_{roi}.npy"
[[guidance]]
level = "high"
name = "meaning"
description = "features"
features = "features.npy"
"""


def dissimilarities(_mused, folder):
    """RDMs of two regions of two people, four stimuli each."""
    given = folder / "given"
    given.mkdir()
    (given / "manifest.toml").write_text(MANIFEST)
    (given / "words.txt").write_text("dog\ncat\ndog\ncat\n")
    numbers(given / "features.npy", 4, 3)
    for number, name in enumerate(["sub-01_V1", "sub-01_IT", "sub-02_V1", "sub-02_IT"]):
        values = [0.1 * (1 + (number + place) % 7) for place in range(6)]
        npy(given / f"{name}.npy", "<f8", (6,), struct.pack("<6d", *values))


def npy(path, descr, shape, data):
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data)


def numbers(path, rows, columns, seed=0):
    draw = random.Random(seed)
    values = [draw.gauss(0, 1) for _ in range(rows * columns)]
    npy(path, "<f4", (rows, columns), struct.pack(f"<{len(values)}f", *values))


SMALL = ["--folds", "2", "--set", "train.epochs=40", "--set", "model.dim=16"]
RIDGE = ["--model", "ridge-pooled"]
TINY = ["--threads", "1", "--set", "train.epochs=1", "--set", "model.dim=16", "--set", "train.batch_size=64"]
VOLUMES = "hp2000_clean"
SMALL_NSD = [part for check in ["session-missing", "trial-count", "voxel-count"] for part in ["--allow", check]]
CURVE = ["--trials", "10,all", "--draws", "1", "--folds", "2", *TINY]
PLANNED = ["benchmark", "data", "--out", "bench", "--models", "prevalence,ridge-pooled,mlp-shared", "--seeds", "0,1",
           "--folds", "2", "--threads", "1", "--set", "train.epochs=2", "--plan", "plan"]
PLANNED_FEW = ["benchmark", "data", "--out", "bench", "--models", "mlp-shared", "--seeds", "0", "--folds", "2", "--threads",
               "1", "--set", "train.epochs=1", "--set", "train.batch_size=64", "--plan", "plan"]
# Name: how to prepare, the command, what is compared of what it makes, and what is done in each copy before it.
VERBS = {
    "train": (simulate, ["train", "data", "--out", "run", *SMALL], ["run"]),
    "train-each": (lambda m, f: simulate(m, f, 24),
                   ["train", "data", "--out", "run", "--folds", "2", "--threads", "1", "--set", "train.epochs=1", "--set",
                    "model.dim=16", "--set", "train.batch_size=64"], ["run"]),
    "ridge": (simulate, ["train", "data", "--out", "run", "--folds", "5", "--model", "ridge-separate"], ["run"]),
    "benchmark": (simulate, ["benchmark", "data", "--out", "bench", "--models", "prevalence,ridge-pooled,mlp-shared",
                             "--seeds", "0,1", "--folds", "2", "--set", "train.epochs=4"], ["bench"]),
    "chosen": (simulate, ["benchmark", "data", "--out", "bench", "--models", "mlp-shared", "--seeds", "0", "--budget", "2",
                          "--folds", "2", "--set", "train.epochs=4"], ["bench"]),
    "permute": (lambda m, f: trained(m, f, *RIDGE), ["permute", "run", "--permutations", "5"], ["run"]),
    "benchmark-each": (lambda m, f: simulate(m, f, 24),
                       ["benchmark", "data", "--out", "bench", "--models", "prevalence,mlp-shared", "--seeds", "0",
                        "--folds", "2", "--threads", "1", "--set", "train.epochs=1", "--set", "train.batch_size=64"],
                       ["bench"]),
    "chosen-each": (simulate,
                    ["benchmark", "data", "--out", "bench", "--models", "mlp-shared", "--seeds", "0", "--budget", "2",
                     "--folds", "2", "--threads", "1", "--set", "train.epochs=1", "--set", "train.batch_size=64"],
                    ["bench"]),
    "permute-each": (lambda m, f: trained(m, f, *RIDGE),
                     ["permute", "run", "--permutations", "2", "--threads", "1"], ["run"]),
    "features": (pictured, ["features", "data", "--model", "model", "--batch", "2"], ["data/features"]),
    "import-npy": (arrays, ["import", "npy", "given", "data"], ["data"]),
    "import-bids": (lambda _, f: shutil.copytree(BIDS, f / "given"),
                    ["import", "bids", "given", "data", "--derivatives", "given/derivatives/prep"], ["data"]),
    "import-rdm": (dissimilarities, ["import", "rdm", "given/manifest.toml", "data"], ["data"]),
    "import-hcp": (lambda _, f: shutil.copytree(FILES / "hcp", f / "given"),
                   ["import", "hcp", "given", "data", "--variant", VOLUMES], ["data"]),
    "import-nsd": (lambda _, f: shutil.copytree(FILES / "nsd", f / "given"), ["import", "nsd", "given", "data", *SMALL_NSD],
                   ["data"]),
    "simulate": (lambda *_: None, ["simulate", "--subjects", "3", "--stimuli", "200", "data"], ["data"]),
    "evaluate": (lambda m, f: trained(m, f, *RIDGE), ["evaluate", "run"], ["run"]),
    "predict": (lambda m, f: trained(m, f, *RIDGE), ["predict", "run", "data", "--out", "p.npy"], ["p.npy", "p.tsv"]),
    "rdm": (simulate, ["rdm", "data", "--features", "high", "--permutations", "99", "--out", "r.npy"], ["r.npy", "r.svg"]),
    "explain": (lambda m, f: trained(m, f, *RIDGE), ["explain", "run"], ["run"]),
    "adapt": (left_out, ["adapt", "source", "all", "--subject", "sub-04", "--trials", "20", "--out", "new"], ["new"]),
    "curve": (lambda m, f: simulate(m, f, 24), ["curve", "data", "--out", "curve", *CURVE], ["curve"]),
    "curve-new": (left_out, ["curve", "others", "--out", "curve", "--new-subjects", *CURVE], ["curve"]),
    "try": (few, ["try", "given", "--out", "look", "--threads", "1"], ["look"]),
    "report": (lambda m, f: trained(m, f, *RIDGE), ["report", "run"], ["run"]),
    "retrieve": (lambda m, f: trained(m, f, *RIDGE), ["retrieve", "run"], ["run"]),
    "words": (worded, ["words", "run", "--words", "words.txt", "--vectors", "v.npy"], ["run"]),
    "plan": (simulate, PLANNED, ["plan"]),
    "work": (simulate, ["work", "plan"], ["bench"], PLANNED),
    "work-each": (lambda m, f: simulate(m, f, 24), ["work", "plan"], ["bench"], PLANNED_FEW),
}


def content(work, names):
    """The bytes of every file below the names, without times; hidden and half-written ones under their own names."""
    found = {}
    for name in names:
        root = work / name
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_dir() or "tensorboard" in path.parts:
                continue
            data = path.read_bytes() if path.exists() else None
            if data is not None and path.suffix in (".json", ".jsonl"):
                data = TIMED.sub(b'"\\1"', data)
            if path.suffix == ".jsonl":
                data = b"\n".join(sorted(data.splitlines()))  # Models train side by side.
            if path.name == "report.html":
                data = b"there"  # It tells the times of stages.
            found[str(path.relative_to(work))] = data
    return found


def litter(work):
    return [str(p.relative_to(work)) for p in work.rglob("*")
            if re.search(r"\.(partial|lock|before)$|/\.tmp", "/" + p.name)]


class Bench:
    def __init__(self, mused, verb, root):
        self.mused, self.verb, self.root = mused, verb, root
        self.prepare, self.command, self.made, *self.before = VERBS[verb]
        self.template, self.work = root / "template", root / "work"
        self.template.mkdir()
        self.prepare(mused, self.template)
        self.fresh()
        start = time.monotonic()
        end = self.run(self.command)
        self.seconds = time.monotonic() - start
        if end.returncode:
            sys.exit(f"{verb}: {end.stderr.decode()}")
        self.whole = content(self.work, self.made)

    def fresh(self):
        shutil.rmtree(self.work, ignore_errors=True)
        # Times are kept: what was made of the files is known by them.
        shutil.copytree(self.template, self.work, symlinks=True)
        for command in self.before:
            subprocess.run([self.mused, *command], cwd=self.work, check=True, capture_output=True)

    def run(self, command):
        return subprocess.run([self.mused, *command], cwd=self.work, capture_output=True)

    def killed(self, command, after, asked):
        """Whether it was killed, and what it said where it ended by itself; `asked` to stop so many seconds before."""
        process = subprocess.Popen([self.mused, *command], cwd=self.work, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        try:
            said = process.communicate(timeout=after)[1]
        except subprocess.TimeoutExpired:
            if asked:
                process.send_signal(signal.SIGTERM)
                time.sleep(asked)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return True, b""
        return process.returncode == -signal.SIGKILL, (b"" if process.returncode == 0 else said)

    def next(self, said, command):
        """The command that a message leads to."""
        if b"--resume" in said and b"without --resume" not in said:
            threads = self.command.index("--threads") if "--threads" in self.command else len(self.command)
            return ["train", *self.command[1:4], *self.command[threads:threads + 2], "--resume"]
        return self.command if b"without --resume" in said else command

    def finish(self, command):
        """Goes on to the end; what is wrong then, or nothing."""
        for _ in range(3):
            end = self.run(command)
            if end.returncode == 0:
                break
            if b"already exists" in end.stderr and b"--resume" not in end.stderr and self.content_whole():
                break  # The kill came after the work.
            following = self.next(end.stderr, command)
            if following == command:
                return f"stuck: {end.stderr.decode().strip()}"
            command = following
        else:
            return f"stuck: {end.stderr.decode().strip()}"
        found = content(self.work, self.made)
        if found != self.whole:
            names = sorted(set(found) | set(self.whole))
            return f"other bytes: {[n for n in names if found.get(n) != self.whole.get(n)][:5]}"
        left = litter(self.work)
        return f"litter: {left}" if left else None

    def content_whole(self):
        return content(self.work, self.made) == self.whole

    def chain(self, draw):
        """Kills of a chain, and what went wrong."""
        self.fresh()
        command, kills = self.command, 0
        for _ in range(draw.randint(1, 4)):
            after = draw.uniform(0.0, 1.05) * self.seconds
            was_killed, said = self.killed(command, after, draw.choice([0.0, draw.uniform(0.0, 0.05)]))
            kills += was_killed
            if said:
                command = self.next(said, command)
        return kills, self.finish(command)

    def each_operation(self, every):
        """A chain for each operation on files, or one in `every`, of the thread that makes most."""
        number = 0
        while True:
            number += every
            self.fresh()
            inject = f"inject={OPERATIONS}:signal=KILL:when={number}"
            end = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={OPERATIONS}", "-e", inject,
                                  self.mused, *self.command], cwd=self.work, capture_output=True)
            if end.returncode == 0:
                return
            yield number, self.finish(self.command)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mused", required=True)
    parser.add_argument("--kills", type=int, default=500, help="kills in all, over the verbs in turn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=list(VERBS))
    parser.add_argument("--each-operation", action="store_true")
    parser.add_argument("--every", type=int, default=1, help="--each-operation: one in so many")
    args = parser.parse_args()
    mused = str(pathlib.Path(args.mused).resolve())
    verbs = args.only or [verb for verb in VERBS if not verb.endswith("-each")]
    table = {verb: {"chains": 0, "kills": 0, "lost": 0} for verb in verbs}
    with tempfile.TemporaryDirectory() as folder:
        benches = {}
        for verb in verbs:
            root = pathlib.Path(folder) / verb
            root.mkdir()
            benches[verb] = Bench(mused, verb, root)
        draw = random.Random(args.seed)

        def count(verb, kills, wrong, which):
            row = table[verb]
            row["chains"] += 1
            row["kills"] += kills
            if wrong:
                row["lost"] += 1
                print(f"{verb}, {which}: {wrong}", flush=True)

        for verb in verbs if args.each_operation else []:
            for number, wrong in benches[verb].each_operation(args.every):
                count(verb, 1, wrong, f"operation {number}")
            print(verb, table[verb], flush=True)
        while not args.each_operation and sum(row["kills"] for row in table.values()) < args.kills:
            for verb in verbs:
                kills, wrong = benches[verb].chain(draw)
                count(verb, kills, wrong, f"chain {table[verb]['chains']}")
    print(json.dumps(table, indent=1))
    return 1 if any(row["lost"] for row in table.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
