#!/usr/bin/env python3
"""Many short tasks, several processes on one folder, random SIGKILLs: every task once, nothing left, the same bits.

    bench/claims.py --mused target/release/mused --tasks 1000 --processes 8 --kills 60 FOLDER
"""
import argparse, collections, pathlib, random, signal, subprocess, sys, time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--mused", default="mused")
parser.add_argument("--tasks", type=int, default=1000)
parser.add_argument("--processes", type=int, default=8)
parser.add_argument("--kills", type=int, default=60)
args = parser.parse_args()
mused = str(pathlib.Path(args.mused).resolve())
args.folder.mkdir(parents=True)


def run(*words, **more):
    return subprocess.run([mused, *words], cwd=args.folder, check=True, capture_output=True, text=True, **more)


run("simulate", "--spaces", "common", "--subjects", "2", "--stimuli", "40", "--seed", "1", "data")
seeds = ",".join(map(str, range(args.tasks)))
command = ["benchmark", "data", "--folds", "2", "--models", "prevalence", "--seeds", seeds, "--threads", "1", "--out"]
print(run(*command, "many", "--plan", "plan").stdout.splitlines()[0])

draw = random.Random(1)
ended = []


def start():
    log = open(args.folder / f"log-{len(ended) + len(workers)}-{time.monotonic_ns()}", "w+")
    words = [mused, "work", "plan", "--threads", "1"]
    return subprocess.Popen(words, cwd=args.folder, stdout=subprocess.DEVNULL, stderr=log), log


workers = []
began = time.monotonic()
workers = [start() for _ in range(args.processes)]
kills = 0
while workers:
    time.sleep(draw.uniform(0, 0.5))
    for worker in list(workers):
        process, log = worker
        if process.poll() is not None:
            workers.remove(worker)
            ended.append(worker)
    if workers and kills < args.kills:
        worker = draw.choice(workers)
        worker[0].send_signal(signal.SIGKILL)
        worker[0].wait()
        kills += 1
        workers.remove(worker)
        ended.append(worker)
        workers.append(start())
# What the last one to be killed may have left.
worker = start()
worker[0].wait()
ended.append(worker)
took = time.monotonic() - began

times = collections.Counter()
trouble = []
for process, log in ended:
    log.seek(0)
    for line in log.read().splitlines():
        if line.startswith("task ") and line.endswith(" is done"):
            times[int(line.split()[1])] += 1
        elif not line.startswith("/") and "steps in" not in line:
            trouble.append(line)
killed = sum(process.returncode == -9 for process, _ in ended)
print(f"{args.tasks} tasks, {args.processes} processes at a time, {killed} killed: {took:.0f} s")
print(f"said to be done by a process: once {sum(n == 1 for n in times.values())}, more often "
      f"{sum(n > 1 for n in times.values())}, never {args.tasks - len(times)} (killed before it could say so)")
print("other lines:", collections.Counter(trouble).most_common(5))
began = time.monotonic()
status = subprocess.run([mused, "status", "plan"], cwd=args.folder, capture_output=True, text=True)
print(status.stdout.splitlines()[0], f"(status in {time.monotonic() - began:.2f} s)")
print("gathered:", run(*command, "many").stderr.count("steps in"), "trained")
left = [str(p.relative_to(args.folder)) for p in args.folder.rglob("*")
        if p.name.startswith(".lock") or p.suffix == ".partial" or p.parent.name == "at-work"]
print("left of the killed:", left)

run(*command, "one")
different = [p for p in sorted((args.folder / "one").rglob("*")) if p.name in ("predictions.npy", "results.json", "benchmark.tsv")
             and p.read_bytes() != (args.folder / "many" / p.relative_to(args.folder / "one")).read_bytes()]
print("different from one process:", different)
whole = status.stdout.startswith(f"{args.tasks} tasks: {args.tasks} done")
sys.exit(0 if whole and max(times.values()) == 1 and not different and not left else 1)
