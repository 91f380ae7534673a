"""Mused beside its peers on a processor, in turns: medians, ratios, share of the processor's ceiling, peak memory; one table.

    python bench/processor.py MUSED MUSED-BENCH PROFILES OUT.json [--rounds 5] [--threads 2] [--only A B …]

MUSED and MUSED-BENCH are `cargo build --release -p mused -p mused-bench`; PROFILES is action-geometry as similarity profiles.
A round is every program once, one after the other, so that other work on the machine meets all of them. f32, maps in f64.

A  a training step of the ROI Transformer of the published size, 64 samples       PyTorch
A bf16  the same with products of linear layers in bf16, where the processor has  PyTorch's autocast
   avx512_bf16 (measured with A)
B  a training step of BrainFormer-18 on the published grid, 2 samples             PyTorch
C  8 pictures through CLIP ViT-B/16 of random weights                             onnxruntime, PyTorch
D  five folds of the small ROI Transformer on PROFILES, no guidance, no ridge
   regression beside it                                                           PyTorch
G  ridge maps of 1,250 voxels, 7,900 samples onto 128 targets, 17 penalties,
   6 parts, each predicted from the others                                        scikit-learn, himalaya
H  `mused benchmark` of four models on PROFILES, nothing beside it
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def has_bf16():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return any(line.startswith("flags") and "avx512_bf16" in line.split() for line in lines)


def run(command, **environment):
    """Seconds, what was printed, and peak memory in MB of a command."""
    start = time.perf_counter()
    child = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    printed = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return time.perf_counter() - start, printed, used.ru_maxrss / 1024


PEER = """
import sys, json, time
sys.path.insert(0, {here!r})
import torch
torch.set_num_threads({threads})
{body}
times = []
for number in range({runs} + 1):
    start = time.perf_counter()
    step()
    if number:
        times.append(time.perf_counter() - start)
print(json.dumps(times))
"""

TRAINING = """
import torch.nn.functional as F
from gpu import BrainFormer, LABELS, REGIONS, SUBJECTS, WIDTH, Roi, guided
torch.manual_seed(0)
model = {model}()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
inputs, subject = torch.rand({shape}), torch.arange({batch}) % SUBJECTS
target, feature = torch.zeros({batch}, LABELS), torch.ones({batch}, 16)
def step():
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled={bf16}):
        logits, tokens = model(inputs, subject)
    loss = F.binary_cross_entropy_with_logits(logits.float(), target) + guided(tokens.float(), feature)
    loss.backward()
    optimizer.step()
    loss.item()
"""

PYTORCH_CLIP = """
from clip_pytorch import Image
from transformers import CLIPModel
model, pixels = Image(CLIPModel.from_pretrained({folder!r}).eval()), torch.rand(8, 3, 224, 224)
def step():
    with torch.inference_mode():
        model(pixels)
"""

ONNX_CLIP = """
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = {threads}
session = onnxruntime.InferenceSession({folder!r} + "/image.onnx", options, providers=["CPUExecutionProvider"])
pixels = torch.rand(8, 3, 224, 224).numpy()
def step():
    session.run(None, {{"pixel_values": pixels}})
"""

MAPS = """
import numpy as np
rng = np.random.default_rng(0)
x, y = rng.uniform(-1, 1, (7900, 1250)), rng.uniform(-1, 1, (7900, 128))
y -= y.mean(0)
penalties = 10 ** np.arange(-4, 4.5, 0.5) * (x**2).sum() / min(x.shape)
parts = np.arange(len(x)) % 6
split = [(np.flatnonzero(parts != one), np.flatnonzero(parts == one)) for one in range(6)]
"""

# Penalties by leave-one-out, which is the least work in scikit-learn, then each part from the others.
SCIKIT_LEARN = """
from sklearn.linear_model import Ridge, RidgeCV
def step():
    best = RidgeCV(alphas=penalties, fit_intercept=False).fit(x, y)
    for train, test in split:
        Ridge(best.alpha_, fit_intercept=False).fit(x[train], y[train]).predict(x[test])
"""

HIMALAYA = """
from himalaya.ridge import RidgeCV
def step():
    best = RidgeCV(alphas=penalties, cv=split, fit_intercept=False)
    best.fit(x, y)
    for train, test in split:
        model = RidgeCV(alphas=[np.median(best.best_alphas_)], cv=2, fit_intercept=False)
        model.fit(x[train], y[train]).predict(x[test])
"""

CEILING = """
a, b = torch.rand(3072, 3072), torch.rand(3072, 3072)
def step():
    a @ b
"""


class Table:
    def __init__(self, given):
        self.given, self.threads = given, given.threads
        self.rows = {}

    def peer(self, body, runs, **of):
        text = PEER.format(here=str(HERE), threads=self.threads, runs=runs, body=body.format(threads=self.threads, **of))
        _, printed, memory = run([sys.executable, "-c", text], OMP_NUM_THREADS=str(self.threads))
        return json.loads(printed.splitlines()[-1]), memory

    def ours(self, *arguments, batch, runs):
        threads = ["--threads", self.threads, "--batch", batch, "--runs", runs]
        _, printed, memory = run([self.given.bench, *arguments, *threads])
        return json.loads(printed.splitlines()[-1])["seconds"], memory

    def measure(self, what, programs):
        """`programs`: name to a function of nothing that gives seconds and peak memory."""
        seconds = {name: [] for name in programs}
        memory = dict.fromkeys(programs, 0.0)
        for _ in range(self.given.rounds):
            for name, program in programs.items():
                times, peak = program()
                seconds[name] += times
                memory[name] = max(memory[name], peak)
        row = {name: {"median": statistics.median(seconds[name]), "of": seconds[name], "MB": memory[name]} for name in programs}
        self.rows[what] = row
        self.given.out.write_text(json.dumps({"processor": processor(), "threads": self.threads, **self.rows}, indent=1))
        ours = row.get("mused", {}).get("median")
        for name, of in row.items():
            ratio = f", mused ÷ {name} {ours / of['median']:.2f}" if ours and name != "mused" else ""
            print(f"{what} {name:14} {of['median']:9.3f} s {of['MB']:7.0f} MB{ratio}", flush=True)
        return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("mused", "bench", "profiles"):
        parser.add_argument(name)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=list("ABCDGH"))
    given = parser.parse_args()
    table = Table(given)
    print(f"{processor()}, {given.threads} threads")
    if "A" in given.only:
        training = dict(model="Roi", shape="64, REGIONS * WIDTH", batch=64)
        peer = lambda bf16: table.peer(TRAINING.format(bf16=bf16, **training), 3)
        table.measure("A", {"mused": lambda: table.ours("roi", batch=64, runs=3), "PyTorch": lambda: peer(False)})
        if has_bf16():
            ours = lambda: table.ours("roi", "--precision", "bf16", batch=64, runs=3)
            table.measure("A bf16", {"mused": ours, "PyTorch": lambda: peer(True)})
        else:
            print("A bf16 is left out: this processor has no avx512_bf16")
    if "B" in given.only:
        training = dict(model="BrainFormer", shape="2, 1, 112, 128, 112", batch=2, bf16=False)
        peer = lambda: table.peer(TRAINING.format(**training), 4)
        table.measure("B", {"mused": lambda: table.ours("volume", batch=2, runs=4), "PyTorch": peer})
    with tempfile.TemporaryDirectory() as folder:
        if "C" in given.only:
            subprocess.run([sys.executable, HERE / "clip_pytorch.py", folder], check=True)
            clip = dict(folder=folder)
            programs = {
                "mused": lambda: table.ours("clip", folder, batch=8, runs=3),
                "onnxruntime": lambda: table.peer(ONNX_CLIP, 3, **clip),
                "PyTorch": lambda: table.peer(PYTORCH_CLIP, 3, **clip),
            }
            table.measure("C", programs)
        if "D" in given.only:
            fresh = iter(range(10**6))
            run_folder = Path(folder) / "run"
            settings = ["--model", "no-guidance", "--folds", 5, "--threads", given.threads, "--set", "train.ridge=false"]

            def ours():
                out = f"{run_folder}{next(fresh)}"
                seconds, _, memory = run([given.mused, "train", given.profiles, "--out", out, *settings, "--quiet"])
                return [seconds], memory

            def pytorch():
                command = [sys.executable, HERE / "roi_pytorch.py", given.profiles, f"{run_folder}0", given.threads]
                _, printed, memory = run(command)
                return [float(printed.splitlines()[-1].split(" s ")[0])], memory

            table.measure("D", {"mused": ours, "PyTorch": pytorch})
        if "G" in given.only:
            programs = {
                "mused": lambda: table.ours("maps", batch=1, runs=1),
                "scikit-learn": lambda: table.peer(MAPS + SCIKIT_LEARN, 1),
                "himalaya": lambda: table.peer(MAPS + HIMALAYA, 1),
            }
            table.measure("G", programs)
        if "H" in given.only:
            fresh = iter(range(10**6))
            models = "default,ridge-separate,clip-mused,mlp-separate"

            def ours():
                out = Path(folder) / f"benchmark{next(fresh)}"
                command = ["benchmark", given.profiles, "--out", out, "--models", models, "--folds", 5, "--threads", given.threads]
                seconds, _, memory = run([given.mused, *command, "--quiet"])
                return [seconds], memory

            table.measure("H", {"mused": ours})
    if "ceiling" in given.only or {"A", "B"} & set(given.only):
        times, _ = table.peer(CEILING, 5)
        print(f"ceiling of a product of 3072 × 3072 in PyTorch: {2 * 3072**3 / 1e9 / statistics.median(times):.0f} GFLOP/s")


if __name__ == "__main__":
    main()
