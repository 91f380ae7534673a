"""Networks of runs in PyTorch: a module with the same logits, whose weights go out of runs and back in.

>>> from mused.torch import decoder
>>> network = decoder(run)                               # torch.nn.Module, weights of the run's first model
>>> read = run.inputs(data)
>>> network(*read.tensors())                             # logits, a row a subject and stimulus
>>> run.with_weights({"fold-0": network.state_dict()}, "runs/tuned")
"""

from __future__ import annotations

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

__all__ = ["Network", "decoder"]


def decoder(run: Run, model: str | None = None, member: int = 0) -> Network:
    """The network of a run's model (by default the first), or one `member` of several whose logits are averaged."""
    found = run.weights(model)
    if found.config.get("architecture") != "roi":
        raise MusedError(
            f"expected a network over regions or cubes of voxels, found {found.config.get('architecture', 'no network')}: "
            "`mused export-checkpoint` writes the published volume model under the published names; other weights are "
            "`run.weights()`"
        )
    network = Network(found.config)
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in found.member(member).items()})
    return network.eval()


class Linear(nn.Module):
    """x · weight + bias, with the weight as files have it: [in, out]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(inputs, outputs)), nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


class Token(nn.Module):
    """A region's or the patches' token, or those of subjects: parameters of these names and shapes."""

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
            read = (length - self.scores for length in self.lengths)
            self.rois = nn.ModuleList(Token(weight=(length, dim), embedding=(dim,)) for length in read)
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
            ends = [length - self.scores for length in self.lengths]
            parts = zip(kept, ends, self.rois, strict=True)
            tokens += [values[:, :end] @ roi.weight + roi.embedding for values, end, roi in parts]
        x = torch.stack(tokens, 1)
        if embedded:
            x = x + (subjects @ self.subject_embedding)[:, None]
        seen = torch.cat([torch.ones_like(mask[:, : len(levels)]), mask], 1)
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
