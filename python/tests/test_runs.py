from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import LABELS, QUICK, REGIONS, STIMULI

import mused


def bits(run: str | Path) -> bytes:
    return (Path(run) / "predictions.npy").read_bytes()


def test_bits_are_those_of_the_command(trained: mused.Run, dataset: mused.Dataset, command: Path, tmp_path) -> None:
    data = dataset.write(tmp_path / "data").path
    settings = [f"--set={key.replace('_', '.', 1)}={value}" for key, value in QUICK.items()]
    arguments = ["train", data, "--out", tmp_path / "run", "--folds", "2", "--threads", "1", *settings]
    subprocess.run([command, *arguments], check=True, capture_output=True)
    assert bits(trained.path) == bits(tmp_path / "run")
    assert bits(trained.ridge.path) == bits(tmp_path / "run" / "ridge")
    subprocess.run([command, "evaluate", trained.path], check=True, capture_output=True)
    opened = mused.Run.open(tmp_path / "run")
    assert opened.results["macro"] == trained.results["macro"]
    assert opened.dataset.subjects == dataset.subjects
    pd.testing.assert_frame_equal(opened.predictions(), trained.predictions())


def test_scores_are_tables_and_words(trained: mused.Run) -> None:
    scores = trained.scores()
    macro = trained.results["macro"]
    assert scores.loc["macro AUC", "score"] == macro["roc_auc"]["mean"]
    assert scores.loc["macro AUC", "floor"] == 0.5
    assert scores.loc["macro AP", "low"] < scores.loc["macro AP", "score"] < scores.loc["macro AP", "high"]
    assert 0 < scores.loc["macro AP", "p"] <= 1
    assert list(trained.labels().index) == LABELS
    assert list(trained.subjects().index) == ["anna", "ben", "cleo"]
    assert trained.subjects()["AUC"].mean() == pytest.approx(macro["roc_auc"]["mean"])
    assert str(trained).startswith("Stimuli with a label were told from those without it")
    assert any("ridge regression" in sentence for sentence in trained.sentences)
    html = trained._repr_html_()
    assert "<table" in html and "macro AUC" in html and "Stimuli with a label" in html


def test_the_same_call_keeps_the_run_and_others_are_refused(trained: mused.Run, dataset: mused.Dataset, betas: dict) -> None:
    before = bits(trained.path)
    again = mused.train(dataset, trained.path, folds=2, progress=False, **QUICK)
    assert again.path == trained.path and bits(trained.path) == before
    with pytest.raises(mused.ConfigError, match="made with other settings: choose another `out`") as error:
        mused.train(dataset, trained.path, folds=3, progress=False, **QUICK)
    assert str(error.value.path) == trained.path
    dataset.add("dora", betas["anna"][:, ::-1], stimulus=STIMULI)
    with pytest.raises(mused.ConfigError, match="made on another dataset"):
        mused.train(dataset, trained.path, folds=2, progress=False, **QUICK)


def test_predictions_are_tables(trained: mused.Run, dataset: mused.Dataset, betas: dict) -> None:
    tested = trained.predictions()
    assert tested.shape == (144, 3) and list(tested.columns) == LABELS
    of_all = trained.predict(dataset)
    assert of_all.loc[("ben", "s07")].between(0, 1).all()
    some = trained.predict(betas["ben"][7:9], subject="ben", roi=REGIONS)
    np.testing.assert_array_equal(some.to_numpy()[0], of_all.loc[("ben", "s07")].to_numpy())
    with pytest.raises(mused.DataError, match="subject: expected the name"):
        trained.predict(betas["ben"])
    with pytest.raises(mused.MusedError, match="dora"):
        trained.predict(betas["ben"], subject="dora", roi=REGIONS)


def test_regions_are_held_against_one_another(trained: mused.Run, dataset: mused.Dataset, betas: dict) -> None:
    regions = trained.regions()
    assert sorted(regions.index) == ["FFA", "V1"]
    assert np.isfinite(regions["AUC lost"]).all()
    assert list(regions.columns) == ["AP lost", "AP low", "AP high", "AUC lost", "AUC low", "AUC high"]
    of_label = trained.regions("face")
    assert list(of_label.columns) == ["AUC lost", "AUC low", "AUC high"]
    table = pd.read_csv(Path(trained.path) / "explain" / "occlusion_labels.tsv", sep="\t")
    lost = table[table["label"] == "face"].set_index("part")["roc_auc"]
    assert of_label["AUC lost"].to_dict() == pytest.approx(lost.to_dict(), nan_ok=True, abs=1e-6)
    with pytest.raises(mused.DataError, match="label: expected one of face, house, tool, found 'fase'"):
        trained.regions("fase")
    other = dataset.add("dora", betas["anna"], stimulus=STIMULI, roi=REGIONS)
    with pytest.raises(mused.MusedError, match="is another dataset than the run was made on"):
        mused.Run.open(trained.path, other).regions()
    with pytest.raises(mused.MusedError, match="made from data in memory"):
        mused.Run.open(trained.path).regions()


def test_a_new_person_is_adapted_to(trained: mused.Run, betas: dict, tmp_path) -> None:
    new = betas["anna"] @ np.linalg.qr(np.random.default_rng(8).normal(size=(9, 9)))[0]
    adapted = trained.adapt(new[:40], STIMULI[:40], tmp_path / "new", subject="dora", roi=REGIONS)
    assert list(adapted.subjects().index) == ["dora"]
    rest = adapted.predict(new[40:], subject="dora", roi=REGIONS)
    assert rest.shape == (8, 3)
    with pytest.raises(mused.MusedError, match="anna"):
        trained.adapt(new, STIMULI, tmp_path / "known", subject="anna", roi=REGIONS)


def test_a_page_is_written(trained: mused.Run, tmp_path) -> None:
    page = trained.report(tmp_path / "report.html", trained.ridge)
    text = Path(page).read_text()
    assert text.startswith("<!doctype html>") and "macro" in text


def test_a_benchmark_is_a_table(dataset: mused.Dataset, tmp_path) -> None:
    def compare() -> mused.Benchmark:
        models = ["default", "no-guidance"]
        return mused.benchmark(dataset, models, tmp_path / "b", folds=2, progress=False, **QUICK)

    found = compare()
    table = found.table()
    assert list(table.index[:2]) == ["default", "no-guidance"]
    assert any(name.startswith("ridge") for name in table.index)
    assert table["macro AP"].between(0, 1).all() and table["p"].between(0, 1).all()
    differences = found.differences()
    assert ("no-guidance", "macro AUC") in differences.index
    assert found.best.results["macro"]["average_precision"]["mean"] == table["macro AP"].max()
    assert any("default" in sentence for sentence in found.sentences)
    assert "<table" in found._repr_html_()
    pd.testing.assert_frame_equal(compare().table(), table)


def test_settings_that_there_are_not_are_refused_by_name(dataset: mused.Dataset, tmp_path) -> None:
    for settings, message in [
        (dict(train_epoch=3), "unknown key train.epoch .*did you mean train.epochs"),
        (dict(train_epochs="many"), 'train.epochs must be .*found "many"'),
        (dict(train_epochs=[1.5]), "train_epochs: expected a number, a text"),
        (dict(train_epochs=[1]), "train.epochs"),
        ({"train.learning_rate": -1}, "learning_rate must be above 0"),
        (dict(model="rigde"), 'unknown model "rigde": expected one of default'),
        (dict(preset="none"), "none"),
        (dict(folds=1000), "cannot divide 48 stimuli in 24 groups into 1000 parts"),
    ]:
        with pytest.raises(mused.MusedError, match=message):
            mused.train(dataset, tmp_path / "run", progress=False, **settings)
    assert not (tmp_path / "run").exists()


def test_leaks_are_refused(labels: pd.DataFrame, betas: dict, tmp_path) -> None:
    data = mused.Dataset(labels)
    for name in ("anna", "copy"):
        data.add(name, betas["anna"], stimulus=STIMULI)
    with pytest.raises(mused.LeakageError, match=r"audit_allow=\[\"identical-subjects") as error:
        mused.train(data, tmp_path / "run", folds=2, progress=False, **QUICK)
    assert "copy and anna" in str(error.value)
    run = mused.train(data, tmp_path / "run", folds=2, progress=False, audit_allow=["identical-subjects"], **QUICK)
    assert run.results["audit"]["findings"]


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """Also where the tests run in the background, whose shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_saves_and_the_same_call_goes_on(dataset: mused.Dataset, tmp_path) -> None:
    main = threading.main_thread().ident

    class PressesAtStart(mused._progress.Listener):
        def start(self, done: int, total: int) -> None:
            signal.pthread_kill(main, signal.SIGINT)

    listener, settings = PressesAtStart(False), {**QUICK, "train_epochs": 60}
    asked = mused._settings.configured("default", 2, "default", None, settings)
    with pytest.raises(KeyboardInterrupt, match="stopped and saved; the same call goes on") as error:
        mused._mused.train(dataset._data, tmp_path / "run", asked, listener)
    assert isinstance(error.value, mused.Interrupted) and error.value.path == tmp_path / "run"
    assert not mused.Run.open(tmp_path / "run")._run.is_complete
    assert "not complete" in str(mused.Run.open(tmp_path / "run"))
    resumed = mused.train(dataset, tmp_path / "run", folds=2, progress=False, **settings)
    whole = mused.train(dataset, tmp_path / "whole", folds=2, progress=False, **settings)
    assert bits(resumed.path) == bits(whole.path)


def test_what_a_listener_throws_stops_the_training(dataset: mused.Dataset, tmp_path) -> None:
    class Throws(mused._progress.Listener):
        def start(self, done: int, total: int) -> None:
            raise RuntimeError("no display")

    asked = mused._settings.configured("default", 2, "default", None, QUICK)
    with pytest.raises(RuntimeError, match="no display"):
        mused._mused.train(dataset._data, tmp_path / "run", asked, Throws(False))


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("work", ["check", "regions", "report", "adapt", "write"])
def test_ctrl_c_is_heard_in_all_long_work(
    work: str, trained: mused.Run, dataset: mused.Dataset, betas: dict, tmp_path
) -> None:
    calls = {
        "check": dataset.check,
        "regions": trained.regions,
        "report": lambda: trained.report(tmp_path / "report.html"),
        "adapt": lambda: trained.adapt(betas["ben"][::-1].copy(), STIMULI, tmp_path / "new", subject="dora", roi=REGIONS),
        "write": lambda: dataset.write(tmp_path / "data"),
    }
    assert trained.results

    def press(frame: object, event: str, called: object) -> None:
        # Pressed as the engine is entered, so that it is there before the work can end.
        if event == "c_call" and getattr(called, "__name__", "") in ("check", "explain", "report", "adapt", "write"):
            sys.setprofile(None)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    sys.setprofile(press)
    try:
        with pytest.raises(KeyboardInterrupt):
            calls[work]()
    finally:
        sys.setprofile(None)


def test_figures_are_svg_with_tables(trained: mused.Run, tmp_path) -> None:
    figures = trained.figures()
    assert figures and all(figure.svg.startswith("<svg") for figure in figures.values())
    assert all(len(figure.table()) for figure in figures.values())
    first = next(iter(figures.values()))
    first.save(tmp_path / "first.svg")
    assert (tmp_path / "first.svg").read_text(encoding="utf-8") == first._repr_svg_()


def test_matplotlib_draws_where_it_is_installed(trained: mused.Run) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    axes = trained.plot()
    assert [text.get_text() for text in axes.get_yticklabels()] == list(trained.labels().sort_values("AUC").index)
    assert trained.plot("subjects", axes) is axes
    with pytest.raises(mused.DataError, match="what: expected 'labels' or 'subjects', found 'brains'"):
        trained.plot("brains")


def test_a_new_person_may_have_seen_what_some_models_are_tested_by(dataset: mused.Dataset, betas: dict, tmp_path) -> None:
    """Folds whose test stimuli the person did not see are left out; where it saw none of any, it is said."""
    run = mused.train(dataset, tmp_path / "run", folds=3, progress=False, train_ridge=False, **QUICK)
    split = pd.read_csv(tmp_path / "run" / "split.tsv", sep="\t")
    tested = split[(split["fold"] == 2) & (split["part"] == "test")]["stimulus_id"]
    seen = [place for place, stimulus in enumerate(STIMULI) if stimulus not in set(tested)]
    new = betas["anna"][:, ::-1].copy()
    shown = [STIMULI[place] for place in seen]
    adapted = run.adapt(new[seen], shown, subject="dora", roi=REGIONS)
    assert adapted.path == f"{run.path}-dora"
    assert {name.split("-")[1] for name in adapted.models} == {"0", "1"}
    assert set(adapted.predictions().index.get_level_values("stimulus")) == set(shown)
    assert adapted.predict(new, roi=REGIONS).shape == (48, 3)
    assert list(adapted.subjects().index) == ["dora"]


def test_an_old_processor_computes_the_same(trained: mused.Run, tmp_path) -> None:
    """Kernels without vector instructions: another order of sums, the same probabilities."""
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import conftest, mused, numpy, pandas
data = mused.Dataset.open(sys.argv[1])
mused.train(data, sys.argv[2], folds=2, progress=False, train_ridge=False, **conftest.QUICK)
"""
    data = trained.dataset.write(tmp_path / "data").path
    environment = {**os.environ, "MUSED_PLAIN": "1"}
    subprocess.run([sys.executable, "-c", program, data, str(tmp_path / "plain")], check=True, env=environment)
    plain = mused.Run.open(tmp_path / "plain").predictions()
    np.testing.assert_allclose(plain, trained.predictions(), atol=1e-4)
    assert (plain.to_numpy() != trained.predictions().to_numpy()).any(), "the plain path was not taken"
