"""`esg train`: runs that start, resume and end in a weight file, and runs refused before anything is written."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from text_sets import shape, write_reason

from esg import EntityMap, EntitySegmenter, Grounder
from esg.cli.console import Console
from esg.models.gella.checkpoint import read_gella
from esg.models.gella.config import PRESETS as gella_presets
from esg.training import run_tokenizer
from esg.training.checkpoint import CHECKPOINT
from esg.training.cropformer import TrainConfig
from esg.training.gella import GellaTrainConfig
from esg.training.run_log import read_log
from esg.training.settings import read_config

SMALL = ("--batch", 1, "--sizes", "64x64", "--workers", 0, "--device", "cpu")

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _without_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing the curves takes longer than a tiny run; `tests/training` does it."""
    monkeypatch.setattr("esg.training.loop.plot", lambda run_dir: None)


def test_train_resumes_and_exports(esg: Run, tiny_preset: str, tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"measure_steps": 0, "precision": "fp32", "loss": {"points": 64}}))
    run, weights = tmp_path / "run", tmp_path / "new/folder/weights.safetensors"
    options = ("--out", run, "--config", settings, "--preset", "test", *SMALL)
    first = esg("train", "cropformer", *options, "--steps", 1, "--export", weights)
    assert first.status == 0
    assert first.err[-1] == f"Written: {weights}"
    no_export = esg("train", "cropformer", "--out", run, "--export", tmp_path / "weights.bin")
    assert (no_export.status, len(no_export.err)) == (2, 1)
    kept = weights.read_bytes()
    esg("train", "cropformer", "--out", run, "--export", weights, "--no-overwrite").refused("already exists")
    assert weights.read_bytes() == kept
    again = esg("train", "cropformer", "--out", run, "--steps", 2, "--export", weights)
    assert again.status == 0
    assert again.err[-1] == f"Written: {weights} (1 earlier file replaced)"
    assert any("after step 1" in line for line in again.err)
    kept = read_config(run / "config.json", TrainConfig())
    assert (kept.steps, kept.samples.batch, kept.samples.sizes, kept.loss.points) == (2, 1, ((64, 64),), 64)
    assert EntitySegmenter.from_pretrained(weights, device="cpu").name == tiny_preset


@pytest.mark.usefixtures("tiny_preset")
def test_a_run_is_called_like_its_preset(esg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("settings.json").write_text(json.dumps({"measure_steps": 0, "precision": "fp32"}))
    options = ("--config", "settings.json", "--preset", "test", *SMALL)
    assert esg("train", "cropformer", *options, "--steps", 1).status == 0
    assert (tmp_path / "runs/cropformer-test/checkpoint.pt").is_file()
    assert esg("train", "cropformer", "--preset", "test", "--steps", 2).status == 0
    lines = (tmp_path / "runs/cropformer-test/log.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 2


@pytest.mark.usefixtures("tiny_preset")
def test_interrupted_training(esg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Console, "progress", lambda *_: signal.raise_signal(signal.SIGINT))
    options = ("--preset", "test", "--steps", 9, *SMALL, "--export", tmp_path / "weights.safetensors")
    result = esg("train", "cropformer", "--out", tmp_path, *options)
    assert result.status == 130
    assert "Interrupted after step 1" in result.err[-1]
    assert not (tmp_path / "weights.safetensors").exists()


# -------------------------------------------------------------------------------------------------- photos of one's own


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of five photos of two entities each."""
    folder = tmp_path / "mine"
    folder.mkdir()
    labels = np.ones((64, 80), np.uint8)
    labels[16:48, 20:60] = 2
    for number in range(5):
        Image.fromarray(np.stack([labels * 100, labels, labels * 50], 2)).save(folder / f"p{number}.jpg")
        Image.fromarray(labels).save(folder / f"p{number}_0.png")
    return folder


def test_fine_tuning_is_one_command(
    esg: Run, tiny_model: Path, tiny_preset: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pycocotools")
    monkeypatch.chdir(tmp_path)
    command = ("train", "cropformer", "--photos", photos, "--init", tiny_model, "--workers", 0, "--device", "cpu")
    first = esg(*command, "--steps", 2)
    run = Path("runs/cropformer-test-mine")  # the preset of the weights, and the folder of the photos
    best = run / "best.safetensors"
    assert (first.status, first.err[:2]) == (
        0,
        [
            "Fine-tuning on 5 photos, of which 20 % are held out and measured.",
            f"Starting from {tiny_model}: 177 of 177 tensors; nothing starts from scratch.",
        ],
    )
    assert first.err[-1] == f"The best weights are in {best}; use them with `esg segment PHOTO --model {best}`."
    kept = read_config(run / "config.json", TrainConfig())
    assert (kept.preset, kept.samples.held_out, kept.frozen_stages, kept.keep_best) == (tiny_preset, 0.2, 2, "AP_boc")
    measured = [row["step"] for row in read_log(run) if "AP_boc" in row]
    assert measured == [0, 1, 2]
    assert EntitySegmenter.from_pretrained(best, device="cpu").name == tiny_preset
    again = esg(*command, "--steps", 3, "--export", "mine.safetensors")
    assert any("Resuming after step 2" in line for line in again.err)
    assert again.err[-1] == "Written: mine.safetensors"
    assert Path("mine.safetensors").read_bytes() == best.read_bytes()


def test_photos_to_measure_on_and_the_presets_own_settings(
    esg: Run, tiny_model: Path, tiny_preset: str, photos: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pycocotools")
    command = ("train", "cropformer", "--photos", photos, "--init", tiny_model, *SMALL, "--steps", 1)
    assert esg(*command, "--out", tmp_path / "run", "--no-fine-tune", "--val", photos).status == 0
    kept = read_config(tmp_path / "run/config.json", TrainConfig())
    assert (kept.preset, kept.lr, kept.frozen_stages, kept.samples.short) == (tiny_preset, TrainConfig.lr, 0, ())
    assert (kept.measure.photos, kept.keep_best) == ((str(photos),), "AP_boc")
    assert (tmp_path / "run/best.safetensors").is_file()
    tuned = esg(*command, "--out", tmp_path / "tuned", "--val", photos)
    assert (tuned.status, tuned.err[0]) == (0, "Fine-tuning on 5 photos.")  # all of them: others are measured
    assert read_config(tmp_path / "tuned/config.json", TrainConfig()).samples.held_out == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--fine-tune",), "--fine-tune needs --init and --photos, and cannot be combined with --config."),
        (("--init", "cropformer-nano", "--photos", "missing"), "missing does not exist; give"),
        (
            ("--init", "gella-nano"),
            "holds weights of GELLA; give weights of a CropFormer, a Mask2Former or a backbone.",
        ),
        (("--init", "cropformer-nano", "--preset", "test"), "it fits the preset cropformer-nano."),
    ],
)
@pytest.mark.usefixtures("tiny_preset")
def test_fine_tuning_that_cannot_be_leaves_no_folder(
    esg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    esg("train", "cropformer", *options, "--device", "cpu").refused(words)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------------------- gella


@pytest.fixture
def tiny_gella(speaker: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a preset, and few scenes for its tokenizer."""
    monkeypatch.setitem(gella_presets, "gella-test", speaker[0])
    monkeypatch.setattr(run_tokenizer, "_SCENES", 3)
    return "gella-test"


GELLA = ("--batch", 1, "--texts", 2, "--workers", 0, "--device", "cpu")


@pytest.fixture
def gella_settings(tmp_path: Path) -> Path:
    path = tmp_path / "settings.json"
    samples = {"sides": [48, 64], "mask_noise": 0.5}
    path.write_text(json.dumps({"measure_steps": 0, "precision": "fp32", "loss": {"points": 64}, "samples": samples}))
    return path


@pytest.mark.usefixtures("tiny_gella")
def test_train_gella_resumes_exports_and_grounds(esg: Run, gella_settings: Path, tmp_path: Path) -> None:
    run, weights = tmp_path / "run", tmp_path / "gella.safetensors"
    options = ("--out", run, "--config", gella_settings, "--preset", "test", *GELLA)
    assert esg("train", "gella", *options, "--steps", 1).status == 0
    names = {path.name for path in run.iterdir()}
    assert {"config.json", "checkpoint.pt", "log.jsonl", "tokenizer.json"} <= names
    kept = (run / "tokenizer.json").read_text()
    again = esg("train", "gella", "--out", run, "--steps", 2, "--export", weights)
    assert again.status == 0
    assert any("after step 1" in line for line in again.err)
    assert again.err[-1] == f"Written: {weights}"
    assert (run / "tokenizer.json").read_text() == kept
    config = read_config(run / "config.json", GellaTrainConfig())
    assert (config.preset, config.steps, config.samples.batch, config.samples.texts) == ("gella-test", 2, 1, 2)
    assert (config.samples.sides, config.samples.mask_noise) == ((48, 64), 0.5)
    grounder = Grounder.from_pretrained(weights, device="cpu")
    entities = EntityMap.from_labels(np.repeat(np.int32([1, 2]), 32)[None].repeat(64, 0))
    found = grounder(np.zeros((64, 64, 3), np.uint8), entities, caption="a red disc")
    assert found.caption == "a red disc"


@pytest.mark.usefixtures("tiny_gella")
def test_gella_as_in_the_paper_is_one_option(esg: Run, gella_settings: Path, tmp_path: Path) -> None:
    run, settings = tmp_path / "run", json.loads(gella_settings.read_text())
    gella_settings.write_text(json.dumps({**settings, "model": {"vision": {"side": 64, "patch": 8}}}))
    options = ("--out", run, "--config", gella_settings, "--preset", "test", *GELLA, "--batch", 2, "--faithful")
    assert esg("train", "gella", *options, "--steps", 1).status == 0
    kept = read_config(run / "config.json", GellaTrainConfig())
    assert (kept.steps, kept.samples.texts, kept.samples.sides) == (1, 2, (48, 64))  # the other options come last
    assert (kept.samples.mask_noise, kept.all_queries, kept.model["projection"]) == (0, True, "linear")
    assert kept.model["blend"]["skip"] is False
    assert esg("train", "gella", "--out", run, "--steps", 2).status == 0  # a resumed run stays as it is
    assert read_config(run / "config.json", GellaTrainConfig()).all_queries


@pytest.mark.usefixtures("tiny_gella")
def test_gella_starts_from_weights_of_its_kind(esg: Run, gella_settings: Path, tmp_path: Path) -> None:
    weights = tmp_path / "gella.safetensors"
    options = ("--config", gella_settings, "--preset", "test", "--steps", 1, *GELLA)
    assert esg("train", "gella", "--out", tmp_path / "first", "--export", weights, *options, "--seed", 5).status == 0
    started = esg("train", "gella", "--out", tmp_path / "second", "--init", weights, *options)
    assert started.status == 0
    one, other = ((tmp_path / name / "tokenizer.json").read_text() for name in ("first", "second"))
    assert one == other  # and not that of another seed


@pytest.mark.usefixtures("tiny_gella")
def test_another_architecture_than_the_presets(esg: Run, gella_settings: Path, tmp_path: Path) -> None:
    def settings(**model: Any) -> Path:
        gella_settings.write_text(json.dumps({**kept, "model": model}))
        return gella_settings

    kept = json.loads(gella_settings.read_text())
    run, weights = tmp_path / "run", tmp_path / "gella.safetensors"
    options = ("--preset", "test", *GELLA, "--config")
    for wrong, words in (({"encoder": "vgg"}, "encoder 'vgg'; choose one of"), ({"hue": 1}, "unknown setting 'hue'")):
        esg("train", "gella", "--out", run, *options, settings(**wrong)).refused(words)
    assert not run.exists()
    location = settings(colours="location")
    assert esg("train", "gella", "--out", run, *options, location, "--steps", 1).status == 0
    again = esg("train", "gella", "--out", run, "--steps", 2, "--export", weights)  # as the run was
    assert (again.status, again.err[-1]) == (0, f"Written: {weights}")
    assert read_gella(weights)[0].config.colours == "location"
    other = settings(colormap_side=32)
    esg("train", "gella", "--out", run, *options, other).refused("other model settings (colormap_side, colours)")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--preset", "nanoo"), "There is no preset 'nanoo'; use one of gella-nano, gella-7b, gella-13b"),
        (("--preset", "7b"), "gella-7b starts from published weights; give --init the folder of LLaVA-1.5"),
        (("--preset", "7b", "--init", "llava"), "llava has no tokenizer.json; get the folder llava-hf/llava-1.5-7b-hf"),
        (("--preset", "test", "--init", "missing.safetensors"), "The file missing.safetensors does not exist"),
        (("--preset", "test", "--photos", "missing"), "missing does not exist; give a COCO JSON file"),
        (("--preset", "test", "--expressions", "missing"), r"missing does not exist; give a folder with refs(unc).p"),
        (("--preset", "test", "--masks", "missing"), "missing does not exist; give a folder or a file of masks"),
        (
            ("--preset", "test", "--expressions", "../reason", "--init", "missing"),
            "../reason/train outlines only the answers, so the entities must come from a segmenter",
        ),
        (("--preset", "test", "--masks", "a", "--segmenter", "b"), "Give --masks or --segmenter, not both."),
        (("--preset", "test", "--precision", "fp16"), "fp16 is for GPUs"),
        (
            ("--preset", "test", "--seed", 2**64),
            f"The setting samples.seed is {2**64}, but must be from 0 to {2**64 - 1}.",
        ),
    ],
)
@pytest.mark.usefixtures("tiny_gella")
def test_gella_that_cannot_be_trained_leaves_no_folder(
    esg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...], words: str
) -> None:
    write_reason(tmp_path / "reason/train", "a", ["What?"], [shape("target", 0, 0, 19, 9)])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("llava").mkdir()
    esg("train", "gella", *options, "--device", "cpu", "--steps", 1).refused(f"esg: {words}")
    assert [path.name for path in Path().iterdir()] == ["llava"]


@pytest.mark.parametrize(("options", "share"), [((), 1.0), (("--mask-noise", 0.25), 0.25)])
@pytest.mark.usefixtures("tiny_gella")
def test_masks_from_files_replace_all_true_ones_unless_a_share_is_given(
    esg: Run, tmp_path: Path, options: tuple[object, ...], share: float
) -> None:
    (tmp_path / "masks").mkdir()
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"measure_steps": 0, "precision": "fp32", "samples": {"sides": [48, 64]}}))
    command = ("train", "gella", "--config", settings, "--preset", "test", *GELLA, "--steps", 1)
    assert esg(*command, "--out", tmp_path / "run", "--masks", tmp_path / "masks", *options).status == 0
    samples = json.loads((tmp_path / "run/config.json").read_text())["samples"]
    assert (samples["masks"], samples["segmenter"]) == (str(tmp_path / "masks"), None)
    assert samples["mask_noise"] == share


def test_each_model_has_its_own_options(esg: Run) -> None:
    esg("train", "gella", "--sizes", "64x64").refused("unrecognized arguments: --sizes")
    esg("train", "cropformer", "--texts", 2).refused("unrecognized arguments: --texts")


# ------------------------------------------------------------------------------------------------------ what is refused


def test_an_unknown_preset_leaves_no_folder(esg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    esg("train", "cropformer", "--preset", "nanoo").refused("no preset 'nanoo'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        ({}, ("--device", "cpu", "--precision", "fp16"), "fp16 is for GPUs; use fp32 or bf16 on the CPU."),
        ({}, ("--device", "meta"), "The device 'meta' cannot be used here"),
        ({"ema": 1.5}, (), "The setting ema is 1.5, but must be at least 0 and below 1."),
        ({"samples": {"detail": [2, 1]}}, (), "The setting samples.detail is (2, 1)"),
        ({"preset": "cropformer-nanoo"}, (), "There is no preset 'cropformer-nanoo'"),
        ({"preset": "mask2former-instance-r50"}, (), "The model has 206 classes, but there are no photos"),
        ({}, ("--init", "missing.safetensors"), "The file missing.safetensors does not exist"),
        ({}, ("--photos", "missing"), "missing does not exist; give a COCO JSON file"),
        ({}, ("--seed", 2**64), f"The setting samples.seed is {2**64}, but must be from 0 to {2**64 - 1}."),
    ],
)
def test_training_that_cannot_be_leaves_no_folder(
    esg: Run, tiny_preset: str, tmp_path: Path, settings: dict[str, Any], options: tuple[object, ...], words: str
) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"preset": tiny_preset, **settings}))
    export = tmp_path / "weights/nano.safetensors"
    options = ("--steps", 1, "--sizes", "64x64", "--workers", 0, *options)
    result = esg("train", "cropformer", "--config", path, "--out", tmp_path / "run", "--export", export, *options)
    result.refused(f"esg: {words}")
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_a_run_of_another_preset_stays_as_it_is(esg: Run, tiny_preset: str, tmp_path: Path) -> None:
    options = ("--preset", tiny_preset, "--precision", "fp32", "--out", tmp_path / "run", *SMALL)
    (tmp_path / "settings.json").write_text(json.dumps({"measure_steps": 0}))
    assert esg("train", "cropformer", "--config", tmp_path / "settings.json", *options, "--steps", 1).status == 0
    state = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)
    torch.save({**state, "preset": "cropformer-nano"}, tmp_path / "run" / CHECKPOINT)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = esg("train", "cropformer", *options, "--steps", 2, "--export", tmp_path / "weights/new.safetensors")
    result.refused("holds a run of cropformer-nano", "another folder")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("export", ["taken/weights.safetensors", "folder.safetensors"])
def test_weights_that_could_not_be_written_are_refused_before_the_training(
    esg: Run, tiny_preset: str, tmp_path: Path, export: str
) -> None:
    (tmp_path / "taken").write_text("precious")
    (tmp_path / "folder.safetensors").mkdir()
    options = ("--preset", tiny_preset, "--steps", 1, *SMALL, "--export", tmp_path / export)
    result = esg("train", "cropformer", "--out", tmp_path / "run", *options)
    result.refused(f"esg: {tmp_path / export} cannot be written: there is a f", "choose another")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.safetensors", "taken"]
    assert (tmp_path / "taken").read_text() == "precious"


def test_a_run_folder_that_cannot_be_written(esg: Run, tiny_preset: str, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("precious")
    result = esg("train", "cropformer", "--preset", tiny_preset, "--out", tmp_path / "run", "--device", "cpu")
    result.refused("cannot be written: there is a file where its folder should be")
    assert (tmp_path / "run").read_text() == "precious"
    result = esg("train", "cropformer", "--preset", tiny_preset, "--out", tmp_path / ("x" * 300), "--device", "cpu")
    result.refused("cannot be ", "file name too long")
