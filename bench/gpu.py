"""A, B and C on a GPU: mused beside PyTorch, eager and compiled, in f32, TF32 and bf16; one JSON file.

    python bench/gpu.py MUSED-BENCH OUT.json [--device cuda] [--quick]

MUSED-BENCH is the program of `cargo build --release -p mused-bench --features cuda`. Each measurement is a process of its
own for mused and a fresh model for PyTorch; one step that does not count comes first (compiling, tuning). Needs torch and
transformers (which makes a CLIP model of random weights). Under 8 minutes.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from brainformer_pytorch import BrainFormer, guided

DIM, HEADS, DEPTH, REGIONS, WIDTH, SUBJECTS, LABELS = 512, 8, 6, 32, 256, 9, 53


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.qkv, self.out = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)
        self.up, self.down = nn.Linear(DIM, 4 * DIM), nn.Linear(4 * DIM, DIM)

    def forward(self, x):
        q, k, v = (p.unflatten(2, (HEADS, -1)).transpose(1, 2) for p in self.qkv(self.norm1(x)).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=0.1).transpose(1, 2).flatten(2)
        x = x + F.dropout(self.out(mixed), 0.1)
        return x + F.dropout(self.down(F.dropout(F.gelu(self.up(self.norm2(x))), 0.1)), 0.1)


class Roi(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(REGIONS, WIDTH, DIM) * WIDTH**-0.5)
        self.bias = nn.Parameter(torch.zeros(REGIONS, DIM))
        self.tokens = nn.Parameter(torch.randn(SUBJECTS, 2, DIM) * 0.02)
        self.blocks = nn.Sequential(*(Block() for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(DIM)
        self.head = nn.Linear(2 * DIM, LABELS)

    def forward(self, x, subject):
        x = x.unflatten(1, (REGIONS, WIDTH))
        x = torch.bmm(x.transpose(0, 1), self.weight).transpose(0, 1) + self.bias
        tokens = self.norm(self.blocks(torch.cat([self.tokens[subject], x], 1))[:, :2])
        return self.head(tokens.flatten(1)), tokens


def clock(run, runs, device):
    times = []
    for number in range(runs + 3):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if number >= 3:
            times.append(time.perf_counter() - start)
    return {"median": statistics.median(times), "seconds": times}


def precisions(name):
    """TF32 or not, and bf16 or not."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name != "f32"
    return torch.autocast("cuda", torch.bfloat16, enabled=name == "bf16")


def training(make, inputs, batch, compiled, precision, runs, device):
    torch.manual_seed(0)
    model = make().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    subject = torch.arange(batch, device=device) % SUBJECTS
    target, feature = torch.zeros(batch, LABELS, device=device), torch.ones(batch, 16, device=device)
    forward = torch.compile(model) if compiled else model

    def step():
        optimizer.zero_grad(set_to_none=True)
        with precisions(precision):
            logits, tokens = forward(inputs, subject)
            loss = F.binary_cross_entropy_with_logits(logits.float(), target) + guided(tokens.float(), feature)
        loss.backward()
        optimizer.step()
        # mused reads its losses every step.
        loss.item()

    return clock(step, runs, device)


def clip(folder, batch, compiled, precision, runs, device):
    from transformers import CLIPModel

    model = CLIPModel.from_pretrained(folder).eval().to(device)
    vision, projection = model.vision_model, model.visual_projection
    encode = lambda pixels: projection(vision(pixels).pooler_output)
    forward = torch.compile(encode) if compiled else encode
    pixels = torch.rand(batch, 3, 224, 224)

    def run():
        with torch.inference_mode(), precisions(precision):
            forward(pixels.to(device)).float().cpu()

    return clock(run, runs, device)


def make_clip(folder):
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    CLIPModel(CLIPConfig(vision_config={"patch_size": 16}, text_config={"num_hidden_layers": 1})).save_pretrained(folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bench")
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="small batches and the eager f32 peer alone")
    given = parser.parse_args()
    device = torch.device(given.device)
    results = []

    def keep(**of):
        results.append(of)
        given.out.write_text(json.dumps(results, indent=1))
        print({key: value for key, value in of.items() if key not in ("seconds", "losses")}, flush=True)

    def ours(*arguments, batch, runs):
        command = [given.bench, *arguments, "--device", given.device, "--batch", str(batch), "--runs", str(runs)]
        done = subprocess.run(command, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            keep(by="mused", **json.loads(line))
        if done.returncode:
            keep(by="mused", what=arguments[0], failed=done.stderr[-2000:])

    peers = [(False, "f32"), (False, "tf32"), (False, "bf16"), (True, "tf32")]
    peers, size, runs = (peers[:1], 2, 2) if given.quick else (peers, 64, 10)

    def peer(what, measure, batch):
        for compiled, precision in peers:
            try:
                of = measure(compiled, precision)
            except Exception as error:  # a peer that fails is a result too
                of = {"failed": str(error)[-500:]}
            keep(by="PyTorch", what=what, batch=batch, compiled=compiled, precision=precision, **of)

    ours("roi", batch=size, runs=runs * 3)
    roi = torch.rand(size, REGIONS * WIDTH, device=device)
    peer("roi", lambda *how: training(Roi, roi, size, *how, runs * 3, device), size)
    with tempfile.TemporaryDirectory() as folder:
        make_clip(folder)
        ours("clip", folder, batch=size, runs=runs)
        peer("clip", lambda *how: clip(folder, size, *how, runs, device), size)
    ours("volume", batch=size, runs=runs // 2)
    volumes = torch.rand(size, 1, 112, 128, 112, device=device)
    peer("volume", lambda *how: training(BrainFormer, volumes, size, *how, runs // 2, device), size)
    if not given.quick:
        ours("layers", batch=size, runs=3)
    keep(by="", what="versions", torch=torch.__version__, device=torch.cuda.get_device_name() if device.type == "cuda" else "cpu")


if __name__ == "__main__":
    main()
