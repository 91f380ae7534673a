#!/usr/bin/env python3
"""A benchmark of 6 models × 3 seeds × 5 folds through an array of SLURM itself, on this machine alone.

Starts munged, slurmctld and three slurmd on loopback (Debian: apt-get install slurm-wlm munge; as root), submits the array that
`mused benchmark --plan` writes, and on the way kills a node, cancels a job, lets time run out and requeues. At the end nothing is
lost, nothing is done twice, and every byte of predictions and scores is what one process makes.

    bench/slurm.py --mused target/release/mused FOLDER
"""
import argparse, collections, os, pathlib, re, signal, socket, subprocess, sys, time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=pathlib.Path)
parser.add_argument("--mused", default="mused")
parser.add_argument("--epochs", default="4")
args = parser.parse_args()
root = args.folder.resolve()
root.mkdir(parents=True)
mused = str(pathlib.Path(args.mused).resolve())
host = socket.gethostname().split(".")[0]
NODES = ["n1", "n2", "n3"]
began = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)


def run(*words, check=True):
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, env=environment)
    if check and done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


for name in ["state", "spool", "etc"]:
    (root / name).mkdir()
(root / "etc/munge.key").write_bytes(os.urandom(1024))
(root / "etc/munge.key").chmod(0o400)
(root / "etc/slurm.conf").write_text(f"""
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/state/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort=17000
SlurmctldPidFile={root}/state/slurmctld.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdPidFile={root}/state/%n.pid
SlurmdLogFile={root}/%n.log
SlurmdSpoolDir={root}/spool/%n
StateSaveLocation={root}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdTimeout=15
KillWait=10
ReturnToService=2
MinJobAge=3600
NodeName={','.join(NODES)} NodeHostname={host} NodeAddr=127.0.0.1 Port=17001,17002,17003 CPUs=2 RealMemory=4000
PartitionName=short Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverTimeLimit=0
""")
environment = {**os.environ, "SLURM_CONF": str(root / "etc/slurm.conf")}
daemons = {}


def daemon(name, *words):
    log = open(root / f"{name}.out", "a")
    daemons[name] = subprocess.Popen(words, stdout=log, stderr=log, env=environment, start_new_session=True)


def node(name):
    daemon(name, "slurmd", "-D", "-N", name)


def children(pid):
    found = [pid]
    for line in subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True).stdout.splitlines()[1:]:
        own, parent = map(int, line.split())
        if parent in found:
            found.append(own)
    return found


def jobs():
    """State and node of each task, by the array that was submitted last."""
    lines = [line.split() for line in run("squeue", "-h", "-r", "-t", "all", "-o", "%F %K %T %N").splitlines()]
    found = {}
    for number, task, *of in sorted(lines, key=lambda line: int(line[0])):
        found[int(task)] = of
    return found


def until(what, holds, seconds=300):
    limit = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > limit:
            sys.exit(f"waited in vain for: {what}\n{run('squeue', '-r', '-t', 'all', check=False)}")
        time.sleep(0.3)
    say(what)


def running(at_least=1, on=None):
    return [task for task, of in jobs().items() if of[0] == "RUNNING" and (on is None or of[1:] == [on])][:at_least]


try:
    socket_, key = f"{root}/state/munge.socket", f"{root}/etc/munge.key"
    daemon("munged", "munged", "--foreground", "--force", f"--socket={socket_}", f"--key-file={key}", f"--pid-file={root}/state/munge.pid",
           f"--log-file={root}/munged.log", f"--seed-file={root}/state/munge.seed")
    until("munge answers", lambda: pathlib.Path(socket_).exists(), 20)
    daemon("slurmctld", "slurmctld", "-D", "-c")
    for name in NODES:
        node(name)
    until("three nodes are idle", lambda: run("sinfo", "-h", "-N", "-o", "%T", check=False).split().count("idle") == 3, 60)

    run(mused, "simulate", "--spaces", "common", "--subjects", "3", "--stimuli", "120", "--seed", "1", "data")
    models = "clip-mused,no-guidance,mlp-shared,mlp-separate,ridge-pooled,ridge-stacked"
    command = [mused, "benchmark", "data", "--folds", "5", "--seeds", "0,1,2", "--models", models, "--set",
               f"train.epochs={args.epochs}", "--set", "model.dim=32"]
    planned = run(*command, "--out", "many", "--plan", "plan", "--partition", "short", "--cpus", "1", "--memory", "1GB", "--time", "10m")
    say(planned.splitlines()[0])
    script = root / "plan/submit.sbatch"
    text = script.read_text()
    # The first time a job has 12 seconds, and is queued again when they are over.
    script.write_text(re.sub(r"--time-limit \d+s", "--time-limit 12s", text))
    array = run("sbatch", "--parsable", str(script)).strip()
    say(f"array {array} submitted; script:\n{text}")

    until("jobs run on n1 and n2", lambda: running(on="n1") and running(on="n2"))
    until("a run is at work", lambda: any((root / "plan/at-work").glob("*")))
    lost = running(9, on="n1")
    pids = set(children(daemons["n1"].pid))
    for line in subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True).stdout.splitlines():
        if f"{root}/spool/n1/" in line:
            pid, parent = map(int, line.split()[:2])
            pids |= {parent, *children(pid)}
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    say(f"node n1 killed with {len(pids)} processes, of tasks {lost}")

    cancelled = running(1, on="n2")
    run("scancel", f"{array}_{cancelled[0]}")
    say(f"task {cancelled[0]} cancelled")
    until("another job runs on n3", lambda: running(1, on="n3"))
    requeued = running(1, on="n3")[0]
    run("scontrol", "requeue", f"{array}_{requeued}")
    say(f"task {requeued} requeued while it ran")
    until("one more job runs on n2", lambda: [task for task in running(9, on="n2") if task not in cancelled])
    timed = [task for task in running(9, on="n2") if task not in cancelled][0]
    run("scontrol", "update", f"JobId={array}_{timed}", "TimeLimit=1")
    # It stands still until SLURM ends it: the runs are too short for a minute, the shortest time there is.
    stopped = [int(line.split()[0]) for line in subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True)
               .stdout.splitlines()[1:] if f"work {root}/plan --task {timed} " in line]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    say(f"task {timed} stands still in a job of one minute ({len(stopped)} process)")
    until("SLURM gives n1 up", lambda: "down" in run("sinfo", "-h", "-n", "n1", "-o", "%T"), 120)
    node("n1")
    until("n1 is back", lambda: "idle" in run("sinfo", "-h", "-n", "n1", "-o", "%T") or running(on="n1"), 120)
    print(run(mused, "status", "plan", check=False))

    ended = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL"}
    until("the array has ended", lambda: all(of[0] in ended for of in jobs().values()), 1500)
    print(collections.Counter(of[0] for of in jobs().values()))
    status = run(mused, "status", "plan", check=False)
    print(status)

    again = re.findall(r"sbatch (--array=\S+)", status)
    for array_option in again:
        script.write_text(text)
        say(f"what is left is submitted again: {array_option}")
        run("sbatch", "--parsable", array_option, str(script))
    until("that has ended", lambda: all(of[0] in ended for of in jobs().values()), 900)
    print(run(mused, "status", "plan", check=False))

    logs = "".join(p.read_text(errors="replace") for p in (root / "plan/logs").glob("*.txt"))
    say(f"logs that are left: {len(list((root / 'plan/logs').glob('*.txt')))}")
    print("requeued by the script:", logs.count("the time is over"))
    gathered = subprocess.run([*command, "--out", "many"], cwd=root, capture_output=True, text=True, check=True)
    print("trained by the command that gathers:", gathered.stderr.count("steps in"))
    say("gathered; now one process")
    run(*command, "--out", "one")
    names = ["predictions.npy", "results.json", "benchmark.tsv", "differences.tsv", "model.safetensors"]
    compared = [p.relative_to(root / "one") for p in sorted((root / "one").rglob("*")) if p.name in names]
    different = [str(p) for p in compared if (root / "one" / p).read_bytes() != (root / "many" / p).read_bytes().replace(b"many/", b"one/")]
    print(f"{len(compared)} files compared, different: {different}")
    left = [str(p.relative_to(root)) for p in [*root.rglob(".lock*"), *root.rglob("*.partial"), *root.glob("plan/at-work/*")]]
    print("left:", left)
    whole = not different and not left and len(compared) > 18 * 5
    say("nothing lost, nothing done twice, the same bits" if whole else "NOT the same")
    sys.exit(not whole)
finally:
    run("scancel", "-u", "root", check=False)
    time.sleep(2)
    for name, process in daemons.items():
        if process.poll() is None:
            process.terminate()
    time.sleep(2)
    for process in daemons.values():
        if process.poll() is None:
            process.kill()
