"""Writes fixtures/pytorch.safetensors: what PyTorch computes, forward and backward, for tests/pytorch.rs.

python tests/make_fixtures.py   (needs torch, numpy and safetensors)
"""

import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

torch.manual_seed(0)
torch.set_num_threads(1)
arrays = {}


def keep(**tensors):
    for name, tensor in tensors.items():
        arrays[name] = np.ascontiguousarray(tensor.detach().numpy().astype(np.float32))


def run(prefix, function, **inputs):
    """The oracle runs in float64 on inputs rounded to float32."""
    inputs = {name: value.float().double().requires_grad_() for name, value in inputs.items()}
    output = function(**inputs)
    weight = torch.randn_like(output).float().double()
    output.backward(weight)
    keep(**{f"{prefix}.{name}": value for name, value in inputs.items()})
    keep(**{f"{prefix}.{name}.grad": value.grad for name, value in inputs.items()})
    keep(**{f"{prefix}.output": output, f"{prefix}.output.grad": weight})


run("gelu", F.gelu, x=torch.cat([torch.linspace(-9, 9, 301), torch.randn(50)]))
run(
    "layer_norm",
    lambda x, gamma, beta: F.layer_norm(x, (37,), gamma, beta, 1e-5),
    x=torch.randn(11, 37) * 2 + 1,
    gamma=torch.randn(37),
    beta=torch.randn(37),
)
run(
    "linear",
    lambda x, weight, bias: F.linear(x, weight.T, bias),
    x=torch.randn(13, 21),
    weight=torch.randn(21, 29),
    bias=torch.randn(29),
)

# Attention against nn.MultiheadAttention itself: identity projections leave q, k, v as they are.
BATCH, TOKENS, DIM, HEADS = 3, 7, 20, 4
mask = torch.ones(BATCH, TOKENS)
mask[0, 5:] = 0
mask[2, 0] = 0


def multihead(qkv):
    module = torch.nn.MultiheadAttention(DIM, HEADS, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.eye(DIM).repeat(3, 1))
        module.out_proj.weight.copy_(torch.eye(DIM))
    q, k, v = qkv.chunk(3, dim=-1)
    return module(q, k, v, key_padding_mask=mask == 0, need_weights=False)[0]


run("attention", multihead, qkv=torch.randn(BATCH, TOKENS, 3 * DIM))
keep(**{"attention.mask": mask})

for name, make in {
    "adam": lambda p: torch.optim.Adam([p], lr=1e-2, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW([p], lr=1e-2, weight_decay=0.1),
}.items():
    param = torch.randn(45, requires_grad=True)
    gradients = torch.randn(5, 45)
    keep(**{f"{name}.start": param.clone(), f"{name}.gradients": gradients})
    optimiser = make(param)
    after = []
    for gradient in gradients:
        param.grad = gradient.clone()
        optimiser.step()
        after.append(param.detach().clone())
    state = optimiser.state[param]
    keep(**{f"{name}.after": torch.stack(after), f"{name}.exp_avg": state["exp_avg"], f"{name}.exp_avg_sq": state["exp_avg_sq"]})

assert all(math.isfinite(float(a.sum())) for a in arrays.values())
path = pathlib.Path(__file__).parent / "fixtures" / "pytorch.safetensors"
path.parent.mkdir(exist_ok=True)
save_file(arrays, str(path), metadata={"torch": torch.__version__})
print(path, path.stat().st_size)
