"""A narrow BrainFormer in PyTorch, run on weights that are computed, not stored: the numbers in crates/mused-model/tests/golden.

    python bench/golden_brainformer.py PUBLISHED OUT

The model is written anew from the method's description. PUBLISHED is the folder of what the published code gave
(brainformer_narrow.pth, brainformer_narrow_run.safetensors): the run stored there is repeated first, and where it comes
out otherwise nothing is written. OUT gets the table of parameters and the run on weights from the stream.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

STEM, STAGES, HEADS, MLP = (4, 8), (8, 16, 32, 32), 4, (16, 32)
SUBJECTS, LABELS, GRID, STEPS = 3, 6, (32, 24, 32), 20


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm3d(outputs), nn.BatchNorm3d(outputs)
        self.downsample = nn.Identity()
        if stride != 1 or inputs != outputs:
            short = nn.Conv3d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(short, nn.BatchNorm3d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.downsample(x))


class Shallow(nn.Module):
    def __init__(self, channels, positions):
        super().__init__()
        mlp = lambda layer, n: nn.Sequential(layer(n, n // 2), nn.GELU(), layer(n // 2, n))
        self.mlp1 = mlp(lambda i, o: nn.Conv1d(i, o, 1), channels)
        self.mlp2 = mlp(nn.Linear, positions)
        self.norm1, self.norm2 = nn.BatchNorm1d(channels), nn.BatchNorm1d(channels)

    def forward(self, x):
        y = x.flatten(2)
        y = y + self.norm1(self.mlp1(y))
        return (y + self.norm2(self.mlp2(y))).view_as(x)


class Deep(nn.Module):
    def __init__(self, channels, hidden):
        super().__init__()
        self.attention = nn.Module()
        self.attention.to_qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.attention.to_out = nn.Sequential(nn.Linear(channels, channels))
        self.FeedForward = nn.Module()
        net = nn.Linear(channels, hidden), nn.GELU(), nn.Identity(), nn.Linear(hidden, channels)
        self.FeedForward.net = nn.Sequential(*net)
        self.norm1, self.norm2 = nn.BatchNorm1d(channels), nn.BatchNorm1d(channels)

    def forward(self, x, tokens):
        t = torch.cat([tokens, x.flatten(2).transpose(1, 2)], 1)
        qkv = self.attention.to_qkv(t).chunk(3, -1)
        q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in qkv)
        weights = (q @ k.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(-1)
        t = self.attention.to_out((weights @ v).transpose(1, 2).flatten(2))
        t = self.FeedForward.net(self.norm1(t.transpose(1, 2)).transpose(1, 2))
        t = self.norm2(t.transpose(1, 2))
        return x + t[:, :, 2:].reshape(x.shape), t[:, :, :2].transpose(1, 2)


class BrainFormer(nn.Module):
    def __init__(self):
        super().__init__()
        dim = STAGES[-1]
        self.hlv_token = nn.Parameter(torch.zeros(SUBJECTS, 1, dim))
        self.llv_token = nn.Parameter(torch.zeros(SUBJECTS, 1, dim))
        self.conv1 = nn.Conv3d(1, STEM[0], 7, 2, 3, bias=False)
        self.conv2 = nn.Conv3d(*STEM, 7, 2, 3, bias=False)
        self.bn1, self.bn2 = map(nn.BatchNorm3d, STEM)
        stage = lambda i, o, stride: nn.Sequential(Block(i, o, stride), Block(o, o, 1))
        self.layer1, self.layer2 = stage(STEM[1], STAGES[0], 1), stage(STAGES[0], STAGES[1], 2)
        self.layer3, self.layer4 = stage(STAGES[1], STAGES[2], 2), stage(STAGES[2], STAGES[3], 1)
        self.attention2 = Shallow(STAGES[1], np.prod(GRID).item() // 8**3)
        self.attention3, self.attention4 = Deep(STAGES[2], MLP[0]), Deep(STAGES[3], MLP[1])
        self.fc1 = nn.Linear(2 * dim, LABELS)

    def forward(self, x, subject):
        tokens = torch.cat([self.hlv_token[subject], self.llv_token[subject]], 1)
        x = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        x = self.attention2(self.layer2(self.layer1(x)))
        x, tokens = self.attention3(self.layer3(x), tokens)
        x, tokens = self.attention4(self.layer4(x), tokens)
        return self.fc1(tokens.flatten(1)), tokens[:, 0], tokens[:, 1], x


def rdm(a):
    norm = a.norm(dim=1, keepdim=True)
    return 1 - a @ a.T / (norm @ norm.T + 1e-6)


def run(state, batch):
    """Evaluation outputs, gradients of the first step, losses of all steps, logits after them."""
    model = BrainFormer().to(batch["volume"].dtype)
    model.load_state_dict(state)
    x, subject = batch["volume"], batch["subject"]
    result = {}
    with torch.no_grad():
        names = "logits", "hlv_token", "llv_token", "feature_map"
        result |= {f"eval.{name}": value.clone() for name, value in zip(names, model.eval()(x, subject))}
    named = list(model.named_parameters())
    rates = [{"params": [value], "lr": 1e-4 if "attention" in name else 1e-3} for name, value in named]
    optimizer, trajectory = torch.optim.Adam(rates), []
    model.train()
    for step in range(STEPS):
        logits, high, low, _ = model(x, subject)
        clf = F.binary_cross_entropy_with_logits(logits, batch["labels"])
        orth = (high @ low.T).square().mean()
        rsa = [(rdm(batch[name]) - rdm(tokens)).square().mean() for name, tokens in (("hlv_feature", high), ("llv_feature", low))]
        total = clf + 1e-3 * orth + 1e-3 * rsa[0] + 1e-1 * rsa[1]
        trajectory.append(torch.stack([total, clf, orth, *rsa]).detach())
        optimizer.zero_grad()
        total.backward()
        if step == 0:
            result |= {f"grad0.{name}": value.grad.clone() for name, value in named}
        optimizer.step()
    with torch.no_grad():
        result["eval_after20.logits"] = model.eval()(x, subject)[0]
    return result | {"trajectory": torch.stack(trajectory)}


def stream(seed, count):
    """splitmix64 as numbers in [-1, 1), exact in float32."""
    u64 = lambda n: np.array(n, np.uint64)
    z = u64(seed) + np.arange(1, count + 1, dtype=np.uint64) * u64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> u64(30))) * u64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> u64(27))) * u64(0x94D049BB133111EB)
    z ^= z >> u64(31)
    return ((z >> u64(40)).astype(np.float64) / 2**23 - 1).astype(np.float32)


def streamed(name, shape, seed):
    # Norms of the attentions and the last one of a residual block near 0, where training starts from: with all near 1
    # twenty steps magnify rounding errors beyond any comparison.
    if len(shape) == 1:
        small = "norm" in name or name.startswith("layer") and name.endswith("bn2.weight")
        scale, offset = 0.1, float(name.endswith("weight") and not small)
    else:
        scale, offset = 1.0 if name.endswith("token") else (6 / np.prod(shape[1:])) ** 0.5, 0.0
    values = np.float32(scale) * stream(seed, int(np.prod(shape))) + np.float32(offset)
    return torch.from_numpy(values.reshape(shape))


def worst(found, expected, names):
    """The largest difference of each array, relative to the array's largest value."""
    return {name: ((found[name] - expected[name]).abs().max() / expected[name].abs().max()).item() for name in names}


def main():
    published, out = map(Path, sys.argv[1:])
    state = torch.load(published / "brainformer_narrow.pth", weights_only=True)
    expected = load_file(published / "brainformer_narrow_run.safetensors")
    repeated = run(state, expected)
    outputs = [name for name in repeated if name.startswith("eval.")]
    difference = worst(repeated, expected, outputs)
    print("published run repeated, largest relative difference:", difference)
    most = max(value.abs().max() for name, value in expected.items() if name.startswith("grad0."))
    gradients = max(((repeated[n] - expected[n]).abs().max() / max(expected[n].abs().max(), 1e-3 * most)).item() for n in repeated if n.startswith("grad0."))
    early = ((repeated["trajectory"] - expected["trajectory"])[:10, :2] / expected["trajectory"][:10, :2]).abs().max().item()
    print(f"gradients {gradients:.1e}, losses of ten steps {early:.1e}")
    assert max(difference.values()) < 1e-5 and gradients < 1e-3 and early < 1e-3

    table, seeds = ["name\tshape"], {}
    for name, value in state.items():
        table.append(f"{name}\t{'x'.join(map(str, value.shape)) or 'scalar'}")
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            seeds[name] = 1000 + len(seeds)
    (out / "brainformer_narrow_parameters.tsv").write_text("\n".join(table) + "\n")
    buffers = BrainFormer().state_dict()
    state = {name: streamed(name, tuple(value.shape), seeds[name]) if name in seeds else buffers[name] for name, value in state.items()}
    kept = {name: expected[name] for name in ("subject", "labels", "hlv_feature", "llv_feature")}
    shape = (len(kept["subject"]), 1, *GRID)
    volume = torch.from_numpy(np.float32(0.5) * stream(7, int(np.prod(shape))) + np.float32(0.5)).reshape(shape)
    result = run(state, kept | {"volume": volume})
    double = lambda tensors: {name: value.double() if value.is_floating_point() else value for name, value in tensors.items()}
    exact = run(double(state), double(kept | {"volume": volume}))
    print("against double precision:", worst(result, exact, [*outputs, "eval_after20.logits"]))
    print("losses, steps × terms:", ((result["trajectory"] - exact["trajectory"]) / exact["trajectory"]).abs())

    # Of each gradient its length and its product with the stream of its own seed.
    grad0 = []
    for name, seed in seeds.items():
        gradient = result.pop(f"grad0.{name}").double().flatten()
        other = torch.from_numpy(stream(1000 + seed, gradient.numel())).double()
        grad0.append(torch.stack([gradient.norm(), gradient @ other]).float())
    save_file(kept | result | {"grad0": torch.stack(grad0)}, out / "brainformer_narrow.safetensors")


main()
