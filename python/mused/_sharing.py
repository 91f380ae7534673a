"""A folder of a run to share: Hugging Face's layout, with a model card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import DataError
from ._mused import __version__

if TYPE_CHECKING:
    from ._run import Run

LEFT_OUT = ("ridge", "tensorboard", "explain", "report.html", "figures", "*.lock")
"""Of a run directory: what can be made again or is of use to its owner alone."""
METHOD = (
    "Zhou, Q., Du, C., Wang, S., & He, H. (2024). CLIP-MUSED: CLIP-Guided Multi-Subject Visual Neural Information Semantic "
    "Decoding. ICLR 2024, arXiv:2402.08994."
)


def save(run: Run, path: Path, licence: str | None, citation: str | None) -> str:
    """Writes the folder; see `Run.save_pretrained`."""
    if path.exists() and any(path.iterdir()):
        raise DataError(f"{path}: expected a new or empty folder, found files in it", path)
    results = run.results
    try:
        known = run.dataset._data.terms
    except Exception:  # The data may lie elsewhere, or nowhere; what the caller says of them stands.
        known = (None, None)
    licence, citation = licence or known[0], citation or known[1]
    path.mkdir(parents=True, exist_ok=True)
    shutil.copytree(run.path, path / "run", ignore=shutil.ignore_patterns(*LEFT_OUT))
    record = json.loads((path / "run" / "run.json").read_text(encoding="utf-8"))
    # Where the data lay on its owner's machine is nobody else's business.
    record["dataset"].pop("path", None)
    _write(path / "run" / "run.json", json.dumps(record, indent=2, ensure_ascii=False))
    weights = {name: run.weights(name) for name in run.models}
    described = {
        "library_name": "mused",
        "mused_version": __version__,
        "labels": run.weights().labels,
        "models": {
            name: {"config": own.config, "subjects": own.subjects, "members": own.members} for name, own in weights.items()
        },
    }
    _write(path / "config.json", json.dumps(described, indent=2, ensure_ascii=False))
    alone = len(weights) == 1
    tensors = {
        name if alone else f"{model}.{name}": value for model, own in weights.items() for name, value in own.tensors.items()
    }
    _write_safetensors(path / "model.safetensors", tensors)
    _write(path / "README.md", card(run, record, results, licence, citation))
    return str(path)


def card(run: Run, record: dict[str, Any], results: dict[str, Any], licence: str | None, citation: str | None) -> str:
    """The model card."""
    data, config = record["dataset"], record["config"]
    scores = run.scores()
    front = ["library_name: mused", "tags:", "- fmri", "- brain-decoding", "- multi-label-classification"]
    front = [f"license: {json.dumps(licence)}" if licence else "license: unknown", *front]
    rows = [
        f"| {name} | {_number(row['score'])} | {_interval(row)} | {_number(row['floor'])} | {_number(row['p'])} |"
        for name, row in scores.iterrows()
    ]
    folds = record["folds"]
    split = (
        f"{folds} folds over groups of stimuli: each stimulus is predicted by a model that saw neither it nor its group."
        if folds > 1
        else "One division of the stimuli into a training and a test part; no group of stimuli is in both."
    )
    held_out = config["split"]["holdout_subject"]
    if held_out:
        split += f" Left out of training: {'each subject in turn' if held_out == 'each' else held_out}."
    names = [label["name"] for label in results["labels"]]
    lines = [
        "---",
        *front,
        "---",
        "",
        f"# Labels decoded from the fMRI of {len(record['subjects'])} people ({data['name']})",
        "",
        *(f"{sentence}\n" for sentence in run.sentences),
        "## Data",
        "",
        f"- Dataset: {data['name']}{' (simulated, not measured)' if data['simulated'] else ''}",
        f"- Subjects trained on: {', '.join(record['subjects'])}",
        f"- Labels: {', '.join(names)}",
        f"- Licence of the data: {licence or 'unknown: ask whoever published them'}",
        f"- How to cite the data: {citation or 'unknown: ask whoever published them'}",
        "",
        "## Split",
        "",
        split,
        "",
        "## Scores",
        "",
        "Of test stimuli, a subject at a time; 95 % intervals are for other subjects and stimuli, the floor is what knowing "
        "nothing scores.",
        "",
        "| metric | score | 95 % interval | floor | p |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "## Use",
        "",
        "```python",
        "import mused",
        "# This folder, as huggingface_hub.snapshot_download brings it.",
        'run = mused.from_pretrained("FOLDER")',
        f'run.predict(responses, subject="{record["subjects"][0]}", roi=rois)  # trials x voxels, as it was trained',
        "```",
        "",
        "Weights are in `model.safetensors`, sizes in `config.json`; `mused.torch.decoder(run)` is the network in PyTorch.",
        "",
        "## How to cite",
        "",
        f"The method: {METHOD} The software: mused {record['version']}. The data: as above.",
        "",
    ]
    return "\n".join(lines)


def _number(value: Any) -> str:
    return "–" if value is None or value != value else f"{value:.3g}"


def _interval(row: Any) -> str:
    return "–" if row["low"] is None or row["low"] != row["low"] else f"{row['low']:.3g} to {row['high']:.3g}"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, value in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [end, end + value.nbytes]}
        end += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for value in tensors.values():
            file.write(np.ascontiguousarray(value, dtype="<f4").tobytes())
