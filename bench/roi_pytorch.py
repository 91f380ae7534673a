"""The default ROI model in PyTorch, trained on the folds of a mused run: scores and seconds.

    python bench/roi_pytorch.py DATASET RUN [threads]

No guidance. As mused: the last block computes the two subject tokens alone, dropout of inputs, decoupled weight
decay of matrices, cosine schedule with warm-up, averaged weights. Data are loaded before the clock starts.
"""

import math
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from profiles import Profiles
from torch import nn

DIM, HEADS, MLP, DROPOUT, INPUT_DROPOUT = 128, 4, 256, 0.2, 0.7
EPOCHS, BATCH, RATE, WARMUP, DECAY, CLIP, EMA = 25, 64, 3e-3, 0.1, 0.5, 1.0, 0.99


class Model(nn.Module):
    def __init__(self, rois, length, subjects, labels):
        super().__init__()
        bound = length**-0.5
        self.weight = nn.Parameter(torch.empty(rois, length, DIM).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(rois, DIM).uniform_(-bound, bound))
        self.tokens = nn.Parameter(torch.randn(subjects, 2, DIM) * 0.02)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(DIM) for _ in range(3))
        self.query, self.key_value, self.out = nn.Linear(DIM, DIM), nn.Linear(DIM, 2 * DIM), nn.Linear(DIM, DIM)
        self.up, self.down = nn.Linear(DIM, MLP), nn.Linear(MLP, DIM)
        self.head = nn.Linear(2 * DIM, labels)

    def forward(self, x, subject):
        batch, p = len(x), DROPOUT if self.training else 0.0
        x = F.dropout(x, INPUT_DROPOUT, self.training)
        x = torch.bmm(x.transpose(0, 1), self.weight).transpose(0, 1) + self.bias
        x = torch.cat([self.tokens[subject], x], 1)
        normed = self.norm1(x)
        heads = lambda t: t.view(batch, t.shape[1], HEADS, -1).transpose(1, 2)
        key, value = self.key_value(normed).chunk(2, -1)
        mixed = F.scaled_dot_product_attention(heads(self.query(normed[:, :2])), heads(key), heads(value), dropout_p=p)
        x = x[:, :2] + F.dropout(self.out(mixed.transpose(1, 2).reshape(batch, 2, DIM)), DROPOUT, self.training)
        hidden = F.dropout(F.gelu(self.up(self.norm2(x))), DROPOUT, self.training)
        x = x + F.dropout(self.down(hidden), DROPOUT, self.training)
        return self.head(self.norm3(x).flatten(1))


def train(x, y, subject):
    model = Model(x.shape[1], x.shape[2], int(subject.max()) + 1, y.shape[1])
    matrix = lambda name: name == "weight" or (name.endswith(".weight") and "norm" not in name)
    named = list(model.named_parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for n, p in named if matrix(n)], "weight_decay": DECAY},
            {"params": [p for n, p in named if not matrix(n)], "weight_decay": 0.0},
        ],
        lr=RATE,
        fused=True,
    )
    averaged = [p.detach().clone() for p in model.parameters()]
    per_epoch = math.ceil(len(x) / BATCH)
    total, step = per_epoch * EPOCHS, 0
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(x)).split(BATCH):
            warm = WARMUP * total
            done = max(0.0, (step - warm) / (total - warm))
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * done))
            loss = F.binary_cross_entropy_with_logits(model(x[chosen], subject[chosen]), y[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            step += 1
            decay = min(EMA, (1 + step) / (10 + step))
            torch._foreach_lerp_(averaged, [p.detach() for p in model.parameters()], 1 - decay)
    with torch.no_grad():
        for parameter, mean in zip(model.parameters(), averaged):
            parameter.copy_(mean)
    return model.eval()


torch.manual_seed(0)
torch.set_num_threads(int(sys.argv[3]) if len(sys.argv) > 3 else 2)
data = Profiles(sys.argv[1])
subjects = len(data.subjects)
scores = np.zeros((subjects, *data.labels.shape))
seconds = 0.0
for train_part, test_part in data.folds(sys.argv[2]):
    inputs = torch.from_numpy(data.inputs(train_part))
    who = lambda part: torch.arange(subjects).repeat_interleave(len(part))
    flat = lambda part: inputs[:, part].flatten(0, 1).contiguous()
    y = torch.from_numpy(data.labels[train_part].astype(np.float32)).repeat(subjects, 1)
    start = time.perf_counter()
    model = train(flat(train_part), y, who(train_part))
    with torch.no_grad():
        logits = model(flat(test_part), who(test_part))
    seconds += time.perf_counter() - start
    scores[:, test_part] = logits.view(subjects, len(test_part), -1).numpy()
data.report("PyTorch, default model, no guidance", scores)
print(f"{seconds:.1f} s for all folds on {torch.get_num_threads()} threads")
