"""Whole runs of a tiny model: they learn, and an interrupted run ends like an uninterrupted one."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from esg.data.scenes.layout import SceneConfig
from esg.models.cropformer.config import PRESETS
from esg.models.layers.resnet import ResNetConfig
from esg.support.errors import EsgError, InputError, WeightsError
from esg.training import checkpoint, cropformer, loop, training_run
from esg.training.checkpoint import WeightAverage, load_checkpoint
from esg.training.cropformer import CropFormerTask, TrainConfig
from esg.training.losses import LossConfig
from esg.training.measure import MeasureConfig
from esg.training.run_folder import BEST, CHECKPOINT
from esg.training.run_log import read_log
from esg.training.samples import SampleConfig
from esg.training.schedule import learning_rate
from esg.weights.loading import load_segmenter

RUN = TrainConfig(
    preset="tiny",
    steps=6,
    samples=SampleConfig(batch=1, sizes=((64, 64),), detail=(1.0, 1.0), scenes=SceneConfig(things=(1, 3), nested=0.0)),
    loss=LossConfig(points=64),
    measure=MeasureConfig(scenes=1, height=64, width=64, short=64, longest=64),
    warmup=2,
    precision="fp32",
    device="cpu",
    workers=0,
    measure_steps=0,
)


def train(config: TrainConfig, run_dir: Path, **options: Any) -> Path:
    return loop.train(CropFormerTask(config), run_dir, **options)


def export(run_dir: Path, out: Path) -> Path:
    return checkpoint.export(run_dir, CropFormerTask(RUN), out)


@pytest.fixture
def run(tiny: str) -> TrainConfig:
    return dataclasses.replace(RUN, preset=tiny)


def weights(run_dir: Path, kind: str = "model") -> dict[str, torch.Tensor]:
    state = load_checkpoint(run_dir)
    assert state is not None
    return state[kind]


@pytest.mark.parametrize(("number", "optimizer"), [(signal.SIGTERM, "adamw"), (signal.SIGINT, "muon")])
def test_interrupted_run_ends_like_an_uninterrupted_one(
    run: TrainConfig, tmp_path: Path, number: int, optimizer: Any
) -> None:
    run = dataclasses.replace(run, optimizer=optimizer)
    whole, parts = train(run, tmp_path / "whole"), tmp_path / "parts"

    def interrupt(done: int, _total: int, _what: str) -> None:
        if done == 3:
            os.kill(os.getpid(), number)

    train(run, parts, progress=interrupt)
    assert load_checkpoint(parts)["step"] == 3  # type: ignore[index]
    train(run, parts)
    for kind in ("model", "ema"):
        a, b = weights(whole, kind), weights(parts, kind)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
    rows = read_log(parts)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["loss"] for row in rows] == [row["loss"] for row in read_log(whole)]


def test_a_run_without_the_batch_level_leaves_the_association_as_it_is(run: TrainConfig, tmp_path: Path) -> None:
    image_level = dataclasses.replace(run, batch_level=False, steps=2)
    train(dataclasses.replace(image_level, steps=1), tmp_path)
    before = weights(tmp_path)
    train(image_level, tmp_path)
    after = weights(tmp_path)
    changed = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert "association" not in changed
    assert "backbone" in changed
    assert "batch_ce" not in read_log(tmp_path)[-1]
    train(dataclasses.replace(run, steps=3), tmp_path)  # and the batch level may come later
    assert "batch_ce" in read_log(tmp_path)[-1]
    assert not torch.equal(weights(tmp_path)["association.linear1.weight"], before["association.linear1.weight"])


def test_a_run_can_resume_with_other_rates(run: TrainConfig, tmp_path: Path) -> None:
    train(dataclasses.replace(run, steps=1), tmp_path)
    train(dataclasses.replace(run, steps=2, backbone_lr=0.1, weight_decay=0.0), tmp_path)
    assert [row["step"] for row in read_log(tmp_path)] == [1, 2]


def test_killed_run_resumes_from_its_last_checkpoint(run: TrainConfig, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def kill(done: int, _total: int, _what: str) -> None:
        if done == 5:
            raise Killed

    every_two = dataclasses.replace(run, checkpoint_steps=2)
    with pytest.raises(Killed):
        train(every_two, tmp_path / "killed", progress=kill)
    assert load_checkpoint(tmp_path / "killed")["step"] == 4  # type: ignore[index]
    train(every_two, tmp_path / "killed")
    a, b = weights(train(run, tmp_path / "whole")), weights(tmp_path / "killed")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert [row["step"] for row in read_log(tmp_path / "killed")] == [1, 2, 3, 4, 5, 6]


def test_the_loss_falls(run: TrainConfig, tmp_path: Path) -> None:
    longer = dataclasses.replace(run, steps=24, lr=3e-3)
    rows = read_log(train(longer, tmp_path))
    losses = [row["loss"] for row in rows]
    assert sum(losses[-6:]) < 0.9 * sum(losses[:6])
    assert {
        "lr",
        "image_ce",
        "image_bce",
        "image_dice",
        "batch_ce",
        "batch_bce",
        "batch_dice",
        "grad_norm",
        "seconds",
    } <= set(rows[0])


@pytest.mark.usefixtures("curves")
def test_bf16_run_measures_logs_and_plots(run: TrainConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("pycocotools")
    pytest.importorskip("matplotlib")
    caplog.set_level(logging.INFO, "esg.training")
    train(dataclasses.replace(run, steps=2, precision="bf16", measure_steps=2), tmp_path)
    measured = read_log(tmp_path)[-1]
    assert set(measured) == {"step", "AP_io", "AP50_io", "AP_boc", "AP50_boc"}
    assert measured["step"] == 2
    assert 0 <= measured["AP_boc"] <= measured["AP50_boc"] <= 1
    assert (tmp_path / "plot.png").stat().st_size > 1000
    assert json.loads((tmp_path / "config.json").read_text())["precision"] == "bf16"
    assert any("step 2/2 loss" in message for message in caplog.messages)
    assert all(value.dtype != torch.bfloat16 for value in weights(tmp_path).values())


def test_export_is_half_precision_and_names_its_preset(run: TrainConfig, tmp_path: Path) -> None:
    train(dataclasses.replace(run, steps=2), tmp_path)
    out = export(tmp_path, tmp_path / "small.safetensors")
    average = weights(tmp_path, "ema")
    with safe_open(out, "pt") as file:
        config = PRESETS["tiny"].config.to_json()
        about = {"format": "pt", "preset": "tiny", "config": config, "steps": "2", "crop_ratio": "0.7"}
        assert file.metadata() == about
        assert set(file.keys()) == set(average)
        for name, value in average.items():
            stored = file.get_tensor(name)
            assert stored.dtype == (torch.float16 if value.is_floating_point() else value.dtype)
            assert torch.allclose(stored.float(), value.float(), atol=1e-2, rtol=1e-2)
    started = dataclasses.replace(run, steps=1, lr=1e-9, init=str(out))
    begun = weights(train(started, tmp_path / "next"))
    assert all(torch.allclose(begun[name].float(), average[name].float(), atol=1e-2, rtol=1e-2) for name in average)


def test_a_finished_run_stays_unchanged_and_continues_with_more_steps(
    run: TrainConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(dataclasses.replace(run, steps=2), tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}
    caplog.set_level(logging.INFO, "esg.training")
    for steps in (2, 1):
        train(dataclasses.replace(run, steps=steps), tmp_path)
        assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()} == before
    assert caplog.messages == [f"{tmp_path} already has 2 steps; give a larger --steps to continue."] * 2
    train(dataclasses.replace(run, steps=3), tmp_path)
    assert load_checkpoint(tmp_path)["step"] == 3  # type: ignore[index]


def test_schedule_warms_up_stays_and_cools_down() -> None:
    config = TrainConfig(steps=1000, lr=1.0, warmup=100, cooldown=0.5)
    rates = [learning_rate(step, config) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[99:500] == pytest.approx([1.0] * 401)
    assert rates[750] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0, abs=1e-4)
    assert all(a >= b for a, b in zip(rates[100:], rates[101:], strict=False))


def test_milestones_are_tenths() -> None:
    config = TrainConfig(steps=50, lr=1.0, warmup=0, cooldown=0.0, milestones=(0.92, 0.96))
    assert [learning_rate(step, config) for step in range(50)] == pytest.approx([1.0] * 46 + [0.1] * 2 + [0.01] * 2)


def test_weight_average_forgets_the_start() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 100.0)
    average = WeightAverage(layer, decay=0.9)
    torch.nn.init.constant_(layer.weight, 1.0)
    for step in range(1, 200):
        average.update(step)
    assert float(average.state["weight"]) == pytest.approx(1.0, abs=1e-3)
    assert layer.weight.item() == 1.0


@pytest.mark.parametrize(("decay", "trained", "own"), [(0.9, True, True), (0.9, False, False), (0.0, True, False)])
def test_only_weights_that_differ_are_kept_twice(decay: float, trained: bool, own: bool) -> None:
    layer = torch.nn.Linear(1, 1, bias=False).requires_grad_(trained)
    average = WeightAverage(layer, decay)
    assert (average.state["weight"].data_ptr() != layer.weight.data_ptr()) == own
    average.load({"weight": torch.full((1, 1), 7.0)})
    assert (average.state["weight"].item() == 7) == own
    torch.nn.init.constant_(layer.weight, 3.0)
    assert (average.state["weight"].item() == 3) == (not own)


def test_model_without_batch_level_trains_and_is_measured_at_image_level(
    run: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pycocotools")
    plain = dataclasses.replace(PRESETS["tiny"], config=dataclasses.replace(PRESETS["tiny"].config, association=False))
    monkeypatch.setitem(PRESETS, "tiny", plain)
    rows = read_log(train(dataclasses.replace(run, steps=1, measure_steps=1), tmp_path))
    assert set(rows[1]) == {"step", "AP_io", "AP50_io"}
    assert not any(name.startswith("batch") for name in rows[0])


def test_diverged_run_keeps_its_weights_and_says_what_to_do(
    run: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    train(dataclasses.replace(run, steps=1), tmp_path)
    before = weights(tmp_path)
    healthy = cropformer.cropformer_losses
    broken = range(2, 1000)

    def losses(*args: Any, **options: Any) -> dict[str, torch.Tensor]:
        calls.append(1)
        return {k: v * float("nan") if len(calls) in broken else v for k, v in healthy(*args, **options).items()}

    calls: list[int] = []
    monkeypatch.setattr(cropformer, "cropformer_losses", losses)
    with pytest.raises(EsgError, match="diverged at step 23"):
        train(dataclasses.replace(run, steps=50, checkpoint_steps=5), tmp_path)
    after = weights(tmp_path)
    assert all(value.isfinite().all() for value in after.values())
    assert any(not torch.equal(before[name], after[name]) for name in before)  # of the one good step
    assert "Step 3 is skipped, because its gradient is not finite" in caplog.text


def test_finite_weights_that_compute_no_numbers_are_not_kept(run: TrainConfig, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    with pytest.raises(
        EsgError, match=r"^The training diverged at step 1; there is no checkpoint yet: start again with"
    ):
        train(dataclasses.replace(run, steps=1, lr=1e30, measure_steps=1), tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()
    assert [row["step"] for row in read_log(tmp_path)] == [1]
    train(dataclasses.replace(run, steps=1, measure_steps=1), tmp_path)  # as it says
    assert load_checkpoint(tmp_path)["step"] == 1  # type: ignore[index]


@pytest.mark.parametrize("averaged", [True, False])
def test_nan_weights_are_not_saved(
    run: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, averaged: bool
) -> None:
    train(dataclasses.replace(run, steps=1), tmp_path)
    averages: list[WeightAverage] = []
    monkeypatch.setattr(
        training_run, "WeightAverage", lambda *args: averages.append(WeightAverage(*args)) or averages[0]
    )

    def spoil(done: int, _total: int, _what: str) -> None:
        if done == 2:
            state = averages[0].own if averaged else averages[0]._model.state_dict()
            next(iter(state.values())).fill_(float("inf"))

    with pytest.raises(EsgError, match="diverged at step 2; the last good state is in "):
        train(dataclasses.replace(run, steps=3, checkpoint_steps=2), tmp_path, progress=spoil)
    assert load_checkpoint(tmp_path)["step"] == 1  # type: ignore[index]


def test_curves_are_drawn_at_every_measurement_and_at_the_end(
    run: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(loop, "plot", lambda run_dir: drawn.append(read_log(run_dir)[-1]["step"]))
    monkeypatch.setattr(CropFormerTask, "can_measure", lambda _: False)  # there need be no figures
    longer = dataclasses.replace(run, steps=5)
    train(dataclasses.replace(longer, measure_steps=2), tmp_path / "some")
    assert drawn == [2, 4, 5]
    drawn.clear()
    train(dataclasses.replace(longer, measure_steps=0), tmp_path / "none")
    assert drawn == [5]
    drawn.clear()
    stop = lambda done, *_: os.kill(os.getpid(), signal.SIGTERM) if done == 3 else None  # noqa: E731
    train(longer, tmp_path / "interrupted", progress=stop)
    assert drawn == [3]


def test_averaged_weights_are_measured_at_every_interval_and_at_the_end(
    run: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CropFormerTask, "can_measure", lambda _: True)
    name = "decoder.query_positions"
    monkeypatch.setattr(CropFormerTask, "measure", lambda _, model, state, *__: {"AP": state[name].abs().sum().item()})
    train(dataclasses.replace(run, steps=3, measure_steps=2), tmp_path)
    figures = {row["step"]: row["AP"] for row in read_log(tmp_path) if "AP" in row}
    assert list(figures) == [2, 3]
    assert figures[3] == weights(tmp_path, "ema")[name].abs().sum().item()
    assert figures[3] != weights(tmp_path)[name].abs().sum().item()


def test_what_does_not_fit_is_refused_in_one_sentence(run: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no preset 'nano'"):
        train(dataclasses.replace(run, preset="nano"), tmp_path)
    with pytest.raises(InputError, match=r"has 206 classes, but there are no photos; give photos with classes, and"):
        train(dataclasses.replace(run, preset="mask2former-instance-r50"), tmp_path)
    with pytest.raises(WeightsError, match="train there first"):
        export(tmp_path, tmp_path / "out.safetensors")
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match="delete it"):
        train(run, tmp_path)
    parts: dict[str, Any] = {"scaler": {}, "model": {}, "ema": {}, "optimizers": []}
    torch.save({"preset": "cropformer-nano", "step": 1, **parts}, tmp_path / CHECKPOINT)
    with pytest.raises(WeightsError, match="another folder"):
        train(run, tmp_path)


def reshaped(state: dict[str, Any]) -> None:
    state["model"]["decoder.norm.weight"] = torch.zeros(3)


def cut(state: dict[str, Any]) -> None:
    del state["ema"]["decoder.norm.weight"]


def extended(state: dict[str, Any]) -> None:
    state["model"]["decoder.norm.scale"] = torch.zeros(3)


@pytest.mark.parametrize(
    ("damage", "name"),
    [(reshaped, "decoder.norm.weight"), (cut, "decoder.norm.weight"), (extended, "decoder.norm.scale")],
)
def test_other_weights_are_one_sentence_with_one_name(
    run: TrainConfig, tmp_path: Path, damage: Callable[[dict[str, Any]], None], name: str
) -> None:
    state = torch.load(train(dataclasses.replace(run, steps=1), tmp_path) / CHECKPOINT, weights_only=True)
    damage(state)
    torch.save(state, tmp_path / CHECKPOINT)
    with pytest.raises(WeightsError, match=r"no longer fits tiny; weights that are missing") as caught:
        train(run, tmp_path)
    assert str(caught.value).endswith(f"of another shape: 1, such as {name}; use another folder.")


def test_another_optimizer_is_one_sentence(run: TrainConfig, tmp_path: Path) -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this PyTorch has no Muon")
    train(dataclasses.replace(run, steps=1), tmp_path)
    with pytest.raises(WeightsError, match=r"does not fit the optimizer muon; use the optimizer of the run, or ano"):
        train(dataclasses.replace(run, optimizer="muon"), tmp_path)


@pytest.mark.parametrize(
    "foreign", [{"state_dict": {}}, {"preset": "tiny", "step": 1}, [1, 2], torch.zeros(2), Path("a")]
)
@pytest.mark.usefixtures("tiny")
def test_a_foreign_checkpoint_is_refused_in_one_sentence(tmp_path: Path, foreign: object) -> None:
    torch.save(foreign, tmp_path / CHECKPOINT)
    with pytest.raises(WeightsError, match="delete it") as caught:
        export(tmp_path, tmp_path / "out.safetensors")
    assert "\n" not in str(caught.value)


def test_a_resumed_run_does_not_need_its_initial_weights(run: TrainConfig, tmp_path: Path) -> None:
    train(dataclasses.replace(run, steps=1), tmp_path / "first")
    init = export(tmp_path / "first", tmp_path / "init.safetensors")
    train(dataclasses.replace(run, steps=1, init=str(init)), tmp_path / "second")
    init.unlink()
    train(dataclasses.replace(run, steps=2, init=str(init)), tmp_path / "second")
    assert load_checkpoint(tmp_path / "second")["step"] == 2  # type: ignore[index]


def test_large_seeds_and_runs_without_pycocotools(
    run: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pycocotools" else found(name))
    samples = dataclasses.replace(run.samples, seed=2**64 - 1)
    train(dataclasses.replace(run, steps=1, measure_steps=1, samples=samples), tmp_path)
    assert load_checkpoint(tmp_path)["step"] == 1  # type: ignore[index]
    assert "AP is not measured" in caplog.text


def test_what_is_refused_leaves_no_folder(run: TrainConfig, tmp_path: Path) -> None:
    without_photos = dataclasses.replace(run.samples, photos=(str(tmp_path / "none"),))
    for changes, words in (
        ({"precision": "fp16"}, "fp16 is for GPUs"),
        ({"device": "meta"}, "device 'meta' cannot be used"),
        ({"samples": without_photos}, "does not exist; give a COCO JSON file"),
    ):
        with pytest.raises(InputError, match=words):
            train(dataclasses.replace(run, **changes), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "auto"])
def test_a_gpu_trains_and_resumes(run: TrainConfig, tmp_path: Path, precision: Any) -> None:
    on_gpu = dataclasses.replace(run, device="cuda", precision=precision, steps=2)
    train(on_gpu, tmp_path)
    train(dataclasses.replace(on_gpu, steps=4), tmp_path)
    rows = read_log(tmp_path)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert all(0 < row["loss"] < 1000 for row in rows)
    assert all(value.isfinite().all() for value in weights(tmp_path, "ema").values())


def test_the_best_weights_are_kept_and_exported(
    run: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = {0: 0.1, 1: 0.3, 2: 0.7, 3: 0.7, 4: 0.2}
    steps = iter(figures)
    monkeypatch.setattr(CropFormerTask, "can_measure", lambda _: True)
    monkeypatch.setattr(CropFormerTask, "measure", lambda *_: {"AP_io": figures[next(steps)]})
    kept = dataclasses.replace(run, steps=3, measure_steps=1, keep_best="AP_io")
    train(kept, tmp_path)
    assert [row["step"] for row in read_log(tmp_path) if "AP_io" in row] == [0, 1, 2, 3]
    best = (tmp_path / BEST).read_bytes()
    train(dataclasses.replace(kept, steps=4), tmp_path)  # the log tells what was best so far
    assert (tmp_path / BEST).read_bytes() == best
    out = checkpoint.export(tmp_path, CropFormerTask(kept), tmp_path / "out.safetensors")
    assert out.read_bytes() == best
    with safe_open(out, "pt") as file:
        assert file.metadata()["steps"] == "2"


def test_a_figure_that_is_not_measured_cannot_be_the_best(
    run: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CropFormerTask, "can_measure", lambda _: True)
    monkeypatch.setattr(CropFormerTask, "measure", lambda *_: {"AP_io": 0.5, "AP50_io": 0.6})
    with pytest.raises(InputError, match=r"keep_best is 'AP_boc', but only AP_io, AP50_io are measured\."):
        train(dataclasses.replace(run, measure_steps=1, keep_best="AP_boc"), tmp_path)


def test_own_architectures_train_resume_and_export(run: TrainConfig, tmp_path: Path) -> None:
    model = {"queries": 5, "association_parts": ["cross"], "backbone": {"depths": [1, 1, 2, 1]}}
    own = dataclasses.replace(run, steps=1, model=model)
    train(own, tmp_path / "run")
    out = checkpoint.export(tmp_path / "run", CropFormerTask(own), tmp_path / "own.safetensors")
    found, preset, name = load_segmenter(out)
    assert (name, found.config.queries, found.config.backbone.depths) == ("tiny", 5, (1, 1, 2, 1))  # type: ignore[union-attr]
    assert preset.config.association_parts == ("cross",)
    train(dataclasses.replace(own, steps=2), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run")["step"] == 2  # type: ignore[index]
    with pytest.raises(WeightsError, match=r"other model settings \(association_parts, backbone, queries\)"):
        train(run, tmp_path / "run")


def test_an_architecture_takes_a_backbone_of_another_kind_and_no_unknown_names(run: TrainConfig) -> None:
    resnet = dataclasses.replace(run, model={"backbone": {"kind": "resnet", "depths": [1, 1, 1, 1]}}).architecture
    assert resnet.backbone == ResNetConfig(depths=(1, 1, 1, 1))
    assert dataclasses.replace(run, model={"backbone": {"kind": "swin"}}).architecture == PRESETS["tiny"].config
    for model, words in (
        ({"backbone": {"kind": "vgg"}}, "no kind 'vgg' of backbone; use one of swin, hornet, resnet, efficientnet"),
        ({"hue": 5}, "The setting model has an unknown setting 'hue'"),
        ({"width": 40}, "must be a multiple of 32"),
    ):
        with pytest.raises(InputError, match=words):
            CropFormerTask(dataclasses.replace(run, model=model))


def test_frozen_stages_do_not_change(run: TrainConfig, tmp_path: Path) -> None:
    frozen = dataclasses.replace(run, frozen_stages=2)
    train(dataclasses.replace(frozen, steps=1), tmp_path)
    before = weights(tmp_path)
    train(dataclasses.replace(frozen, steps=2), tmp_path)
    after = weights(tmp_path)
    parts = {".".join(name.split(".")[1:3]) for name in after if name.startswith("backbone.")}
    changed = {
        ".".join(name.split(".")[1:3])
        for name in after
        if name.startswith("backbone.") and not torch.equal(after[name], before[name])
    }
    fixed = {"patch_embed.weight", "patch_embed.bias", "patch_norm.weight", "patch_norm.bias", "mergings.0"}
    assert parts - changed == fixed | {"stages.0", "stages.1"}
    with pytest.raises(InputError, match="frozen_stages is 5, but this backbone has 4 stages"):
        train(dataclasses.replace(run, frozen_stages=5), tmp_path / "other")


def test_a_model_with_classes_learns_those_of_the_photos(run: TrainConfig, tmp_path: Path) -> None:
    pytest.importorskip("pycocotools")
    (tmp_path / "photos/images").mkdir(parents=True)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "photos/images/a.jpg")
    square = {"id": 1, "image_id": 1, "category_id": 7, "segmentation": [[8, 8, 40, 8, 40, 40, 8, 40]]}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 64, "width": 64}],
        "annotations": [{**square, "bbox": [8, 8, 32, 32], "area": 1024, "iscrowd": 0}],
        "categories": [{"id": number, "name": name} for number, name in ((5, "cup"), (7, "plate"), (9, "spoon"))],
    }
    (tmp_path / "photos/instances.json").write_text(json.dumps(content))
    samples = dataclasses.replace(run.samples, photos=(str(tmp_path / "photos"),), photo_share=1.0, paste_share=0.0)
    own = dataclasses.replace(run, steps=30, lr=3e-3, samples=samples, categories=0.0, model={"classes": 3})
    costs = [row["image_ce"] for row in read_log(train(own, tmp_path / "run"))]
    assert sum(costs[-5:]) < 0.8 * sum(costs[:5])
    out = checkpoint.export(tmp_path / "run", CropFormerTask(own), tmp_path / "classes.safetensors")
    with safe_open(out, "pt") as file:
        assert file.metadata()["task"] == "instance"
    model, preset, _ = load_segmenter(out)
    assert (model.config.classes, preset.task) == (3, "instance")
    with pytest.raises(InputError, match=r"has 2 classes, but the photos have 3; give photos"):
        CropFormerTask(dataclasses.replace(own, model={"classes": 2}))
