"""Weights out and in, folders to share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import LABELS, QUICK, REGIONS, STIMULI, filled

import mused


def test_weights_are_plain_arrays(trained: mused.Run, dataset: mused.Dataset) -> None:
    found = trained.weights()
    assert trained.models == ["fold-0", "fold-1"] and found.labels == LABELS and found.members == 1
    state = found.member()
    assert state["head.weight"].shape == (32, 3) and state["high_level_token.subjects"].shape == (3, 16)
    other = trained.weights("fold-1").member()
    assert state.keys() == other.keys() and (state["head.weight"] != other["head.weight"]).any()
    read = trained.inputs(dataset)
    assert read.inputs.shape == (144, 12) and read.rows[0] == ("anna", "s00")
    assert (read.subjects.sum(axis=1) == 1).all() and read.mask.shape == (144, 2)
    linear = trained.ridge.weights("fold-0-anna")
    assert linear.member()["weights"].shape == (9, 3)
    with pytest.raises(mused.DataError, match="model: expected one of fold-0, fold-1, found .fold-9."):
        trained.weights("fold-9")
    with pytest.raises(mused.DataError, match="member: expected a number from 0 to 0, found 3"):
        found.member(3)


def test_weights_go_back_in(trained: mused.Run, tmp_path) -> None:
    same = trained.with_weights({}, tmp_path / "same")
    pd.testing.assert_frame_equal(same.predictions(), trained.predictions())
    state = trained.weights("fold-1").member()
    state["head.bias"] = state["head.bias"] + 3
    state["prior"] = state["prior"] + 3
    changed = trained.with_weights({"fold-1": state}, tmp_path / "changed")
    differ = (changed.predictions() - trained.predictions()).to_numpy()
    assert ((differ == 0).all(axis=1) | (differ > 0).all(axis=1)).all() and (differ > 0).any() and (differ == 0).any()
    assert changed.ridge is None
    for weights, message in [
        ({"fold-3": state}, "weights: expected names of models, fold-0, fold-1, found 'fold-3'"),
        ({"fold-1": [state, state]}, "weights: expected 1 state dicts, one a network, found 2"),
        ({"fold-1": {**state, "more": np.ones(2)}}, "more is not part of this model"),
        ({"fold-1": {**state, "prior": np.ones(7)}}, r"prior: expected shape \[3\], found \[7\]"),
    ]:
        with pytest.raises(mused.MusedError, match=message):
            trained.with_weights(weights, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


CASES = {
    "aligned": dict(),
    "voxels": dict(model_inputs="voxels"),
    "one pair of tokens": dict(model_inputs="voxels", model_subjects="shared"),
    "an embedding": dict(model_inputs="voxels", model_subjects="embedding"),
    "the high level alone": dict(model_levels="high"),
    "deep, of several": dict(model_depth=2, train_ensemble=2),
}


@pytest.mark.parametrize("case", CASES)
def test_pytorch_says_the_same(case: str, labels: pd.DataFrame, groups: dict, betas: dict, tmp_path) -> None:
    torch = pytest.importorskip("torch")
    from mused.torch import decoder

    data = filled(mused.Dataset(labels, groups=groups), betas)
    # A person without one of the regions.
    data.add("dora", betas["ben"][:, :5] * 2 + betas["anna"][:, 4:], stimulus=STIMULI, roi="V1")
    run = mused.train(data, tmp_path / "run", progress=False, train_ridge=False, **{**QUICK, **CASES[case]})
    read = run.inputs(data)
    assert (read.mask == 0).sum() == 48
    members = range(run.weights().members)
    with torch.no_grad():
        logits = sum(decoder(run, member=member)(*read.tensors()) for member in members) / len(members)
    expected = run.predict(data).to_numpy(dtype=np.float64)
    np.testing.assert_allclose(logits.numpy(), np.log(expected / (1 - expected)), atol=1e-5)
    if len(members) == 1:
        network = decoder(run)
        back = run.with_weights({run.models[0]: network.state_dict()}, tmp_path / "back")
        pd.testing.assert_frame_equal(back.predictions(), run.predictions())
        network.train()
        network(*read.tensors()).sum().backward()
        assert all(parameter.grad is not None for name, parameter in network.named_parameters() if name != "prior")


def test_pytorch_says_the_same_of_cubes_of_volumes(command: Path, tmp_path) -> None:
    torch = pytest.importorskip("torch")
    import subprocess

    from mused.torch import decoder

    simulate = ["simulate", "--subjects", "2", "--stimuli", "24", "--seed", "1", "--kind", "volume", tmp_path / "data"]
    subprocess.run([command, *simulate], check=True, capture_output=True)
    data = mused.Dataset.open(tmp_path / "data")
    settings = {**QUICK, "model_tokenizer": "patches", "train_epochs": 1, "train_ridge": False}
    run = mused.train(data, tmp_path / "run", progress=False, **settings)
    assert run.weights().config["tokenizer"]["of"] == "patches"
    with torch.no_grad():
        logits = decoder(run)(*run.inputs(data).tensors()).numpy()
    expected = run.predict(data).to_numpy(dtype=np.float64)
    np.testing.assert_allclose(logits, np.log(expected / (1 - expected)), atol=1e-5)


def test_pytorch_says_the_same_of_volumes(command: Path, tmp_path) -> None:
    torch = pytest.importorskip("torch")
    import subprocess

    from mused.torch import decoder

    simulate = ["simulate", "--subjects", "2", "--stimuli", "24", "--seed", "1", "--kind", "volume", tmp_path / "data"]
    subprocess.run([command, *simulate], check=True, capture_output=True)
    data = mused.Dataset.open(tmp_path / "data")
    settings = [
        "family=brainformer",
        "depth=10",
        "heads=2",
        "head_dim=4",
        "stem=[2, 4]",
        "stages=[4, 8, 8, 8]",
        "mlp=[8, 8]",
    ]
    settings = ["train.epochs=2", "train.ridge=false", *(f"model.{setting}" for setting in settings)]
    asked = [part for setting in settings for part in ("--set", setting)]
    subprocess.run([command, "train", tmp_path / "data", "--out", tmp_path / "run", *asked], check=True, capture_output=True)
    run = mused.Run.open(tmp_path / "run")
    network = decoder(run)
    read = run.inputs(data).tensors()
    with torch.no_grad():
        logits = network(*read).numpy()
    expected = run.predict(data).to_numpy(dtype=np.float64)
    np.testing.assert_allclose(logits, np.log(expected / (1 - expected)), atol=1e-5)
    back = run.with_weights({run.models[0]: network.state_dict()}, tmp_path / "back")
    pd.testing.assert_frame_equal(back.predictions(), run.predictions())
    # Training in PyTorch moves the running statistics too, and these go back in.
    network.train()
    network(*read).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    moved = run.with_weights({run.models[0]: network.state_dict()}, tmp_path / "moved")
    with torch.no_grad():
        logits = network.eval()(*read).numpy()
    expected = moved.predict(data).to_numpy(dtype=np.float64)
    np.testing.assert_allclose(logits, np.log(expected / (1 - expected)), atol=1e-5)


def test_a_folder_to_share(trained: mused.Run, betas: dict, tmp_path) -> None:
    trained.regions()
    folder = Path(trained.save_pretrained(tmp_path / "shared", licence="cc0-1.0", citation="Anna et al. 2026"))
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors", "run"]
    assert not (folder / "run" / "explain").exists() and not (folder / "run" / "ridge").exists()
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith('---\nlicense: "cc0-1.0"\nlibrary_name: mused\n')
    scores = trained.scores().loc["macro AUC"]
    assert f"| macro AUC | {scores['score']:.3g} | {scores['low']:.3g} to {scores['high']:.3g} | 0.5 |" in card
    for said in ("2 folds over groups of stimuli", "anna, ben, cleo", "Anna et al. 2026", "arXiv:2402.08994", *LABELS):
        assert said in card
    config = json.loads((folder / "config.json").read_text())
    assert list(config["models"]) == ["fold-0", "fold-1"] and config["labels"] == LABELS
    opened = mused.from_pretrained(folder)
    pd.testing.assert_frame_equal(opened.predictions(), trained.predictions())
    assert opened.results["macro"] == trained.results["macro"] and str(opened)
    again = opened.predict(betas["ben"], subject="ben", roi=REGIONS)
    pd.testing.assert_frame_equal(again, trained.predict(betas["ben"], subject="ben", roi=REGIONS))
    with pytest.raises(mused.DataError, match="expected a new or empty folder"):
        trained.save_pretrained(folder)
    with pytest.raises(mused.DataError, match="huggingface_hub.snapshot_download"):
        mused.from_pretrained("some/model")


def test_shared_weights_are_safetensors(trained: mused.Run, tmp_path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    folder = trained.save_pretrained(tmp_path / "shared")
    tensors = safetensors.load_file(Path(folder) / "model.safetensors")
    for model in trained.models:
        for name, value in trained.weights(model).tensors.items():
            np.testing.assert_array_equal(tensors[f"{model}.{name}"], value)


def test_a_shared_folder_does_not_say_where_data_lay(dataset: mused.Dataset, tmp_path) -> None:
    data = dataset.write(tmp_path / "private" / "data") if (tmp_path / "private").mkdir() is None else None
    run = mused.train(data, tmp_path / "run", "ridge-separate", progress=False)
    folder = Path(run.save_pretrained(tmp_path / "shared"))
    for file in folder.rglob("*"):
        assert not file.is_file() or b"private" not in file.read_bytes(), file
