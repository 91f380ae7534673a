"""Networks of runs in PyTorch: modules with the same logits, whose weights go out of runs and back in.

>>> from mused.torch import decoder
>>> network = decoder(run)                               # torch.nn.Module, weights of the run's first model
>>> read = run.inputs(data)
>>> network(*read.tensors())                             # logits, a row a subject and stimulus
>>> run.with_weights({"fold-0": network.state_dict()}, "runs/tuned")
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ._errors import MusedError
from ._run import Run

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError as error:
    raise ImportError("mused.torch needs PyTorch: `pip install torch`") from error

__all__ = ["BrainFormer", "Network", "decoder"]


def decoder(run: Run, model: str | None = None, member: int = 0) -> Network | BrainFormer:
    """The network of a run's model (by default the first), or one `member` of several whose logits are averaged."""
    found = run.weights(model)
    kinds = {"roi": Network, "brainformer": BrainFormer}
    architecture = found.config.get("architecture", "no network")
    if architecture not in kinds:
        raise MusedError(
            f"expected a network over regions, cubes of voxels or volumes, found {architecture}: other weights are "
            "`run.weights()`"
        )
    network = kinds[architecture](found.config)
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in found.member(member).items()})
    return network.eval()


class Linear(nn.Module):
    """x · weight + bias, with the weight as files have it: [in, out]."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight.T, self.bias)


class Token(nn.Module):
    """The tokens of regions or patches, or those of subjects: parameters of these names and shapes."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            setattr(self, name, nn.Parameter(torch.zeros(shape)))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float, dropout: float, attention_dropout: float, **_: Any) -> None:
        super().__init__()
        hidden = max(int(dim * mlp_ratio + 0.5), 1)
        self.heads, self.dropout, self.attention_dropout = heads, dropout, attention_dropout
        self.attention_norm, self.mlp_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention_in, self.attention_out = Linear(dim, 3 * dim), Linear(dim, dim)
        self.mlp_in, self.mlp_out = Linear(dim, hidden), Linear(hidden, dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        def drop(values: Tensor) -> Tensor:
            return functional.dropout(values, self.dropout, self.training)

        batch, tokens, dim = x.shape
        parts = self.attention_in(self.attention_norm(x)).view(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        dropped = self.attention_dropout if self.training else 0.0
        attended = functional.scaled_dot_product_attention(q, k, v, mask[:, None, None] > 0, dropped)
        x = x + drop(self.attention_out(attended.transpose(1, 2).reshape(batch, tokens, dim)))
        return x + drop(self.mlp_out(drop(functional.gelu(self.mlp_in(self.mlp_norm(x))))))


class Network(nn.Module):
    """A Transformer over regions or cubes of voxels, with one or two tokens a subject: `run.weights().config` says which.

    `forward` takes inputs [rows, width], shares of subject tokens [rows, subjects] and 1 or 0 for each region [rows,
    regions], as `run.inputs` gives them, and returns logits [rows, labels].
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        dim, subjects, labels = config["encoder"]["dim"], config["subjects"], config["labels"]
        self.scores = labels if config.get("scores") else 0
        parts = config["tokenizer"]
        self.lengths = parts["lengths"] if parts["of"] == "regions" else [parts["length"]] * parts["count"]
        if parts["of"] == "regions":
            # Those of all regions below one another.
            self.read = [length - self.scores for length in self.lengths]
            self.rois = Token(weight=(sum(self.read), dim), embedding=(len(self.read), dim))
        else:
            self.patches = Token(weight=(parts["length"], dim), embedding=(parts["count"], dim))
        embedded = config["identity"] == "embedding"
        if embedded:
            self.subject_embedding = nn.Parameter(torch.zeros(subjects, dim))
        self.levels = [level for level in ("high", "low") if config["levels"] in ("both", level)]
        for level in self.levels:
            token = Token(subjects=(1 if embedded else subjects, dim), position=(dim,))
            setattr(self, f"{level}_level_token", token)
        self.blocks = nn.ModuleList(Block(**config["encoder"]) for _ in range(config["encoder"]["depth"]))
        self.norm, self.head = nn.LayerNorm(dim), Linear(len(self.levels) * dim, labels)
        if self.scores:
            self.prior = nn.Parameter(torch.zeros(labels))

    def forward(self, inputs: Tensor, subjects: Tensor, mask: Tensor) -> Tensor:
        embedded = hasattr(self, "subject_embedding")
        shares = torch.ones_like(subjects[:, :1]) if embedded else subjects
        levels = [getattr(self, f"{level}_level_token") for level in self.levels]
        tokens = [shares @ token.subjects + token.position for token in levels]
        kept = functional.dropout(inputs, self.config["input_dropout"], self.training).split(self.lengths, 1)
        if hasattr(self, "patches"):
            read = torch.stack(kept, 1) @ self.patches.weight + self.patches.embedding
            tokens += read.unbind(1)
        else:
            parts = zip(kept, self.rois.weight.split(self.read), self.rois.embedding, strict=True)
            tokens += [values[:, : len(weight)] @ weight + embedding for values, weight, embedding in parts]
        x = torch.stack(tokens, 1)
        if embedded:
            x = x + (subjects @ self.subject_embedding)[:, None]
        seen = torch.cat([mask.new_ones(len(mask), len(levels)), mask], 1)
        for block in self.blocks:
            x = block(x, seen)
        logits = self.head(self.norm(x[:, : len(levels)]).flatten(1))
        if not self.scores or self.training:
            return logits
        # A subject's own ridge scores, the mean over its regions, have a say; the network is trained alone.
        own = torch.stack([values[:, -self.scores :] for values in inputs.split(self.lengths, 1)], 1)
        own = (own * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1) + self.prior
        share = self.config.get("own_share", 0.5)
        return logits * (1 - share) + own * share


class BatchNorm(nn.Module):
    """Of the second axis. Running statistics are among a file's weights, counts of batches are not."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training)


class Convolution(nn.Module):
    """Of a volume, which keeps its grid but for the stride; the weight as files have it: [depth, height, width, in, out]."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.weight, self.stride = nn.Parameter(torch.zeros(size, size, size, inputs, outputs)), stride

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv3d(x, self.weight.permute(4, 3, 0, 1, 2), None, self.stride, self.weight.shape[0] // 2)


class Residual(nn.Module):
    """relu(x + bn(conv(relu(bn(conv(x)))))), with a projected x where grid or width change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = Convolution(inputs, outputs, 3, stride), BatchNorm(outputs)
        self.conv2, self.bn2 = Convolution(outputs, outputs, 3), BatchNorm(outputs)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.ModuleDict({"conv": Convolution(inputs, outputs, 1, stride), "bn": BatchNorm(outputs)})

    def forward(self, x: Tensor) -> Tensor:
        rest = x if self.shortcut is None else self.shortcut["bn"](self.shortcut["conv"](x))
        return functional.relu(rest + self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x))))))


class ShallowAttention(nn.Module):
    """y = x + bn(mlp over channels); y + bn(mlp over positions)."""

    def __init__(self, channels: int, positions: int) -> None:
        super().__init__()
        self.channels_in, self.channels_out = Linear(channels, channels // 2), Linear(channels // 2, channels)
        self.positions_in, self.positions_out = Linear(positions, positions // 2), Linear(positions // 2, positions)
        self.norm1, self.norm2 = BatchNorm(channels), BatchNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(2)
        mixed = self.channels_out(functional.gelu(self.channels_in(y.transpose(1, 2))))
        y = y + self.norm1(mixed.transpose(1, 2))
        return (y + self.norm2(self.positions_out(functional.gelu(self.positions_in(y))))).view_as(x)


class DeepAttention(nn.Module):
    """bn(mlp(bn(attention([tokens; x])))), added to x and in place of the tokens."""

    def __init__(self, channels: int, heads: int, head_dim: int, hidden: int) -> None:
        super().__init__()
        self.heads, inner = heads, heads * head_dim
        self.to_qkv, self.to_out = Linear(channels, 3 * inner, bias=False), Linear(inner, channels)
        self.mlp_in, self.mlp_out = Linear(channels, hidden), Linear(hidden, channels)
        self.norm1, self.norm2 = BatchNorm(channels), BatchNorm(channels)

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        every = self.to_qkv(torch.cat([tokens, x.flatten(2).transpose(1, 2)], 1))
        q, k, v = every.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out = self.norm1(self.to_out(attended).transpose(1, 2)).transpose(1, 2)
        out = self.norm2(self.mlp_out(functional.gelu(self.mlp_in(out))).transpose(1, 2))
        return x + out[:, :, 2:].reshape(x.shape), out[:, :, :2].transpose(1, 2)


class BrainFormer(nn.Module):
    """The published volume model (Zhou et al. 2024), two tokens a subject; takes what `run.inputs` gives."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.grid, dim = config["grid"], config["stages"][-1]
        self.high_level_token = nn.Parameter(torch.zeros(config["subjects"], dim))
        self.low_level_token = nn.Parameter(torch.zeros(config["subjects"], dim))
        first, inputs = config["stem"]
        self.conv1, self.bn1 = Convolution(1, first, 7, 2), BatchNorm(first)
        self.conv2, self.bn2 = Convolution(first, inputs, 7, 2), BatchNorm(inputs)
        self.stages = nn.ModuleList()
        blocks = {"10": (1, 1, 1, 1), "18": (2, 2, 2, 2), "34": (3, 4, 6, 3)}[config["depth"]]
        for outputs, count, stride in zip(config["stages"], blocks, (1, 2, 2, 1), strict=True):
            before = (inputs, *[outputs] * (count - 1))
            stage = (Residual(width, outputs, stride if place == 0 else 1) for place, width in enumerate(before))
            self.stages.append(nn.ModuleList(stage))
            inputs = outputs
        self.attention2 = ShallowAttention(config["stages"][1], prod(-(-side // 8) for side in self.grid))
        heads = config["heads"], config["head_dim"]
        self.attention3, self.attention4 = (DeepAttention(dim, *heads, hidden) for hidden in config["mlp"])
        self.head = Linear(2 * dim, config["labels"])

    def forward(self, inputs: Tensor, subjects: Tensor, mask: Tensor | None = None) -> Tensor:
        tokens = torch.stack([subjects @ self.high_level_token, subjects @ self.low_level_token], 1)
        x = functional.relu(self.bn1(self.conv1(inputs.view(-1, 1, *self.grid))))
        x = functional.relu(self.bn2(self.conv2(x)))
        first, second, third, fourth = (nn.Sequential(*stage) for stage in self.stages)
        x, tokens = self.attention3(third(self.attention2(second(first(x)))), tokens)
        _, tokens = self.attention4(fourth(x), tokens)
        return self.head(tokens.flatten(1))
