"""Seconds of a whole training step of BrainFormer-18 in PyTorch on the published grid, beside `mused-bench volume`.

    python bench/brainformer_pytorch.py [threads [steps [batch]]]
"""

import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm3d(outputs), nn.BatchNorm3d(outputs)
        self.short = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.short = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return F.relu(y + self.short(x), inplace=True)


class Shallow(nn.Module):
    def __init__(self, channels, positions):
        super().__init__()
        mlp = lambda layer, n: nn.Sequential(layer(n, n // 2), nn.GELU(), layer(n // 2, n))
        self.channels = mlp(lambda i, o: nn.Conv1d(i, o, 1), channels)
        self.positions = mlp(nn.Linear, positions)
        self.norm1, self.norm2 = nn.BatchNorm1d(channels), nn.BatchNorm1d(channels)

    def forward(self, x):
        y = x.flatten(2)
        y = y + self.norm1(self.channels(y))
        return (y + self.norm2(self.positions(y))).view_as(x)


class Deep(nn.Module):
    def __init__(self, channels, hidden, heads=4, width=64):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * heads * width, bias=False)
        self.out = nn.Linear(heads * width, channels)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels))
        self.norm1, self.norm2 = nn.BatchNorm1d(channels), nn.BatchNorm1d(channels)

    def forward(self, x, tokens):
        t = torch.cat([tokens, x.flatten(2).transpose(1, 2)], 1)
        q, k, v = (p.unflatten(2, (self.heads, -1)).transpose(1, 2) for p in self.qkv(t).chunk(3, -1))
        t = self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        t = self.mlp(self.norm1(t.transpose(1, 2)).transpose(1, 2))
        t = self.norm2(t.transpose(1, 2))
        return x + t[:, :, 2:].reshape(x.shape), t[:, :, :2].transpose(1, 2)


class BrainFormer(nn.Module):
    def __init__(self, subjects=9, labels=53):
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(subjects, 2, 512) * 0.02)
        conv = lambda i, o: nn.Sequential(nn.Conv3d(i, o, 7, 2, 3, bias=False), nn.BatchNorm3d(o), nn.ReLU(inplace=True))
        stage = lambda i, o, s: nn.Sequential(Block(i, o, s), Block(o, o, 1))
        self.start = nn.Sequential(conv(1, 32), conv(32, 64), stage(64, 64, 1), stage(64, 128, 2), Shallow(128, 3136))
        self.layer3, self.layer4 = stage(128, 512, 2), stage(512, 512, 1)
        self.attention3, self.attention4 = Deep(512, 256), Deep(512, 512)
        self.head = nn.Linear(1024, labels)

    def forward(self, x, subject):
        x, tokens = self.attention3(self.layer3(self.start(x)), self.tokens[subject])
        _, tokens = self.attention4(self.layer4(x), tokens)
        return self.head(tokens.flatten(1)), tokens


def rdm(a):
    norm = (a.square().sum(1, keepdim=True) + 1e-24).sqrt()
    return 1 - a @ a.T / (norm @ norm.T + 1e-6)


def guided(tokens, feature):
    """The published losses beside the classification."""
    high, low = tokens[:, 0], tokens[:, 1]
    apart = 1e-3 * (high @ low.T).square().mean()
    return apart + 1e-3 * (rdm(feature) - rdm(high)).square().mean() + 1e-1 * (rdm(feature) - rdm(low)).square().mean()


def main():
    threads, steps, batch = (int(sys.argv[i]) if len(sys.argv) > i else n for i, n in ((1, 2), (2, 4), (3, 2)))
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    model = BrainFormer()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    x, subject, target = torch.rand(batch, 1, 112, 128, 112), torch.arange(batch) % 9, torch.zeros(batch, 53)
    feature = torch.ones(batch, 16)
    seconds = []
    for step in range(steps + 1):
        start = time.perf_counter()
        logits, tokens = model(x, subject)
        loss = F.binary_cross_entropy_with_logits(logits, target) + guided(tokens, feature)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        print(f"step {step}: {seconds[-1]:.3f} s, loss {loss.item():.5f}", flush=True)
    print(f"median {sorted(seconds[1:])[steps // 2]:.3f} s a step, {threads} threads")


if __name__ == "__main__":
    main()
