"""Cuts the numeric oracles down to what the repository ships: crates/*/tests/golden.

    python bench/golden_cut.py ORACLES CRATES

ORACLES is the folder that published PyTorch code, scikit-learn and transformers filled. What is small is copied; of the
tiny CLIP the table of token embeddings, nine tenths of it, shrinks to the rows in use, and three of its nine texts stay.
Every value that stays is the same float. Needs ftfy and regex for the texts' tokens.
"""

import gzip
import json
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from clip_tokens import PATTERN, Tokenizer

COPIED = {
    "mused-stats": ["metrics.safetensors"],
    "mused-model": [
        *(f"{name}.safetensors" for name in ("basic_block", "bottleneck", "shallow_attention", "deep_attention", "losses")),
        "brainformer_18_full.safetensors",
        "brainformer_18_parameters.tsv",
    ],
}
RDMS = "hlv_feature", "hlv_token", "rdm_hlv_feature", "rdm_hlv_token"
# A sentence, nothing, one text too long.
TEXTS = [0, 5, 8]
BYTES = 512


def learned_merges(texts, count):
    """Byte-pair encoding by its definition, learnt from a few texts."""
    letters = Tokenizer(gz([])).bytes
    words = [[*map(letters.get, word.encode())] for text in texts for word in PATTERN.findall(text.lower())]
    for word in words:
        word[-1] += "</w>"
    merges = []
    while len(merges) < count:
        pairs = Counter(pair for word in words for pair in zip(word, word[1:]))
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word in words:
            for at in range(len(word) - 2, -1, -1):
                if tuple(word[at : at + 2]) == best:
                    word[at : at + 2] = ["".join(best)]
    return merges


def gz(merges):
    """A vocabulary file as OpenAI writes it."""
    path = Path(tempfile.mkdtemp()) / "merges.gz"
    path.write_bytes(gzip.compress("\n".join(["version", *map(" ".join, merges)]).encode()))
    return path


def clip(source, out):
    golden, weights = load_file(source / "golden.safetensors"), load_file(source / "model.safetensors")
    used = np.unique(golden["input_ids"])
    rows = np.array([*range(BYTES), *used[used >= BYTES]])
    number = {int(row): place for place, row in enumerate(rows)}
    table = "text_model.embeddings.token_embedding.weight"
    weights[table] = weights[table][rows]
    save_file(weights, out / "model.safetensors", {"format": "pt"})

    config = json.loads((source / "config.json").read_text())
    start, end = len(rows) - 2, len(rows) - 1
    config["text_config"] |= {"vocab_size": len(rows), "bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    golden["input_ids"] = np.vectorize(number.get)(golden["input_ids"])
    golden = {name: np.ascontiguousarray(value[TEXTS] if len(value) == 9 else value) for name, value in golden.items()}
    save_file(golden, out / "golden.safetensors")

    # A vocabulary of that size, and what OpenAI's algorithm makes of the nine texts with it.
    texts = json.loads((source / "texts.json").read_text())["texts"]
    merges = learned_merges(texts, len(rows) - BYTES - 2)
    tokenizer = Tokenizer(gz(merges))
    assert tokenizer.numbers["<|endoftext|>"] == end
    (out / "vocab.json").write_text(json.dumps(tokenizer.numbers, ensure_ascii=False) + "\n")
    (out / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n")
    ids = [tokenizer(text, fix_encoding=False) for text in texts]
    ids = [row if len(row) <= 77 else [*row[:76], end] for row in ids]
    lines = [json.dumps({"text": text, "ids": row}, ensure_ascii=False) for text, row in zip(texts, ids)]
    (out / "texts.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


def main():
    oracles, crates = map(Path, sys.argv[1:])
    folder = lambda crate: crates / crate / "tests/golden"
    for crate, names in COPIED.items():
        for name in names:
            shutil.copyfile(oracles / name, folder(crate) / name)
    losses = load_file(oracles / "losses.safetensors")
    save_file({name: losses[name] for name in RDMS}, folder("mused-stats") / "rdms.safetensors")
    clip(oracles / "clip_tiny", folder("mused-clip") / "clip_tiny")


main()
