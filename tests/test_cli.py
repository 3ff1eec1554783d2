"""The command `esg` as people and scripts use it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from esg import EntityMap, EntitySegmenter, __version__, read_image
from esg.cli import main
from esg.commands import demo
from esg.commands.console import Console
from esg.commands.train import read_config
from esg.cropformer.config import PRESETS
from esg.errors import InputError

SMALL = ["--size", "64", "--max-size", "96", "--min-score", "0", "--device", "cpu"]
OPTIONS: dict[str, Any] = {"size": 64, "max_size": 96, "min_score": 0}
SUFFIXES = ["entities.json", "labels.png", "overlay.jpg"]

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def esg(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line; gives the exit status and the lines on stdout and stderr."""

    def run(*arguments: object) -> SimpleNamespace:
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return SimpleNamespace(status=status, out=out.splitlines(), err=err.splitlines())

    return run


@pytest.fixture
def segment(esg: Run, tiny_model: Path, tmp_path: Path) -> Run:
    """Runs `esg segment` with a tiny model and the output folder `tmp_path / "out"`."""
    return lambda *arguments: esg("segment", *arguments, "--model", tiny_model, "--out", tmp_path / "out", *SMALL)


def photo(path: Path, seed: int = 0, size: tuple[int, int] = (40, 60)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def python(*arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=root, timeout=60)


# ----------------------------------------------------------------------------------------------------------- in general


def test_help_imports_nothing_heavy(root: Path) -> None:
    code = (
        "import contextlib, sys\nfrom esg.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['segment', '--help'])\n"
        "heavy = {'torch', 'numpy', 'scipy', 'PIL', 'huggingface_hub', 'gradio'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    result = python("-c", code, root=root)
    assert result.returncode == 0, result.stderr
    assert "--crops" in result.stdout


def test_help_states_the_limits_that_hold(root: Path) -> None:
    code = (
        "import contextlib, esg.limits\nesg.limits.MAX_PIXELS = 1234567\nfrom esg.cli import _parser, main\n"
        "for command in (['segment', 'a.jpg'], ['demo']): print(_parser().parse_args(command).max_pixels)\n"
        "for command in ('segment', 'demo'):\n"
        "    with contextlib.suppress(SystemExit): main([command, '--help'])"
    )
    result = python("-c", code, root=root)
    assert result.stdout.startswith("1234567\n1234567\n"), result.stderr
    assert result.stdout.count("[1234567]") == 2


def test_it_is_also_a_module(root: Path) -> None:
    result = python("-m", "esg", "--version", root=root)
    assert (result.returncode, result.stdout) == (0, f"esg {__version__}\n")


def test_without_a_command_it_shows_the_help(esg: Run) -> None:
    result = esg()
    assert result.status == 2
    assert any("segment" in line for line in result.err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["segmnet"], "segmnet"),
        (["segment"], "PHOTO"),
        (["weights"], "COMMAND"),
        (["segment", "a.jpg", "--crops", "5"], "0, 4, 8"),
        (["segment", "a.jpg", "--min-score", "nan"], "between 0 and 1"),
        (["segment", "a.jpg", "--min-score", "high"], "no number"),
        (["segment", "a.jpg", "--min-area", "-1"], "less than 0"),
        (["segment", "a.jpg", "--views-at-once", "0"], "less than 1"),
        (["segment", "a.jpg", "--max-pixels", "1e9"], "no whole number"),
        (["segment", "a.jpg", "--save", "overlay,maps"], "overlay, labels, coco, masks"),
        (["segment", "a.jpg", "--save", ""], "overlay, labels, coco, masks"),
        (["train", "cropformer", "--out", "run", "--lr", "0"], "above 0"),
        (["train", "cropformer", "--out", "run", "--sizes", "192x200"], "multiples of 32"),
        (["train", "cropformer", "--out", "run", "--sizes", "192"], "multiples of 32"),
        (["weights", "convert", "a.pth"], "--out"),
    ],
)
def test_wrong_arguments_are_one_line(esg: Run, arguments: list[str], words: str) -> None:
    result = esg(*arguments)
    assert (result.status, result.out) == (2, [])
    (line,) = result.err
    assert words in line
    assert line.endswith("--help`.")


# -------------------------------------------------------------------------------------------------------------- segment


def test_a_photo(segment: Run, tiny_model: Path, tmp_path: Path) -> None:
    path = photo(tmp_path / "dog.png")
    result = segment(path)
    assert (result.status, result.out) == (0, [])
    (line,) = result.err
    assert line.startswith(f"{path}: ")
    assert files(tmp_path / "out") == [f"dog.{suffix}" for suffix in SUFFIXES]

    expected = EntitySegmenter.from_pretrained(tiny_model, device="cpu")(path, **OPTIONS)
    assert len(expected) > 1
    assert f"{len(expected)} entities" in line
    assert EntityMap.from_labels_png(tmp_path / "out/dog.labels.png") == expected
    assert EntityMap.from_coco(tmp_path / "out/dog.entities.json") == expected
    assert json.loads((tmp_path / "out/dog.entities.json").read_text())["images"][0]["file_name"] == "dog.png"
    assert read_image(tmp_path / "out/dog.overlay.jpg").shape == (40, 60, 3)


def test_options_reach_the_segmenter(segment: Run, tiny_model: Path, tmp_path: Path) -> None:
    path = photo(tmp_path / "dog.png")
    assert segment(path, "--crops", 8, "--fusion", "bc", "--min-area", 50, "--views-at-once", 2).status == 0
    segmenter = EntitySegmenter.from_pretrained(tiny_model, device="cpu")
    expected = segmenter(path, crops=8, fusion="bc", min_area=50, **OPTIONS)
    assert np.array_equal(EntityMap.from_labels_png(tmp_path / "out/dog.labels.png").labels, expected.labels)
    assert segment(path, "--crops", 0, "--fill-holes", 20, "--remove-islands", 30).status == 0
    expected = segmenter(path, crops=0, fill_holes=20, remove_islands=30, **OPTIONS)
    assert EntityMap.from_labels_png(tmp_path / "out/dog.labels.png") == expected


def test_folders_keep_their_structure(segment: Run, tmp_path: Path) -> None:
    for name in ("in/a.png", "in/a.jpg", "in/sub/b.png"):
        photo(tmp_path / name)
    result = segment(tmp_path / "in", "--save", "labels,coco")
    assert result.status == 0
    assert [line[:6] for line in result.err] == ["[1/3] ", "[2/3] ", "[3/3] "]
    names = ("a.jpg", "a.png", "sub/b")
    assert files(tmp_path / "out") == [f"{name}.{suffix}" for name in names for suffix in SUFFIXES[:2]]
    coco = json.loads((tmp_path / "out/sub/b.entities.json").read_text())
    assert coco["images"][0]["file_name"] == "sub/b.png"


def test_a_bad_photo_does_not_stop_the_others(segment: Run, tmp_path: Path) -> None:
    good, bad, last = photo(tmp_path / "a.png"), tmp_path / "b.png", photo(tmp_path / "c.png")
    bad.write_text("no picture")
    result = segment(good, bad, tmp_path / "missing.jpg", last, "--save", "coco")
    assert result.status == 2
    assert files(tmp_path / "out") == ["a.entities.json", "c.entities.json"]
    assert len(result.err) == 5
    assert "b.png is not a picture" in result.err[1]
    assert "missing.jpg does not exist" in result.err[2]
    assert result.err[4] == f"esg: 2 of 4 photos could not be segmented: {bad}, {tmp_path / 'missing.jpg'}"


def test_masks(segment: Run, tmp_path: Path) -> None:
    path = photo(tmp_path / "a.png")
    folder = tmp_path / "out/a.masks"
    folder.mkdir(parents=True)
    (folder / "99.png").touch()  # of an earlier run with more entities
    (folder / "mine.png").touch()
    assert segment(path, "--save", "labels,masks").status == 0
    entities = EntityMap.from_labels_png(tmp_path / "out/a.labels.png")
    assert sorted(file.name for file in folder.iterdir()) == sorted(
        [*(f"{number}.png" for number in range(1, len(entities) + 1)), "mine.png"]
    )
    for number in range(1, len(entities) + 1):
        mask = np.asarray(Image.open(folder / f"{number}.png"))
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, 255 * (entities.labels == number))


def test_an_empty_result_is_a_result(segment: Run, tmp_path: Path) -> None:
    result = segment(photo(tmp_path / "a.png"), "--min-area", 2401, "--save", "overlay,labels,coco,masks")
    assert result.status == 0
    assert ": 0 entities in " in result.err[0]
    assert files(tmp_path / "out") == [f"a.{suffix}" for suffix in SUFFIXES]
    assert len(EntityMap.from_labels_png(tmp_path / "out/a.labels.png")) == 0


def test_a_name_that_is_no_text(segment: Run, tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.png"  # Latin-1 on a disk that is read as UTF-8
    try:
        photo(path)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such names")
    result = segment(path)
    assert result.status == 0
    assert "caf\\udce9.png" in result.err[0]
    assert len(files(tmp_path / "out")) == 3


def test_ctrl_c(segment: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("esg.draw.overlay", pressed)
    result = segment(photo(tmp_path / "a.png"), photo(tmp_path / "b.png"), "--save", "labels,overlay")
    assert (result.status, result.err) == (130, ["esg: Stopped."])
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried …"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    ],
)
def test_no_memory_for_one_photo(
    segment: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    call = EntitySegmenter.__call__

    def first_fails(self: EntitySegmenter, image: np.ndarray, **options: Any) -> EntityMap:
        if image.shape == (40, 60, 3):
            raise error
        return call(self, image, **options)

    monkeypatch.setattr(EntitySegmenter, "__call__", first_fails)
    result = segment(photo(tmp_path / "a.png"), photo(tmp_path / "b.png", size=(30, 30)), "--save", "labels")
    assert result.status == 2
    assert "a.png needs more memory than there is; try --views-at-once 1" in result.err[0]
    assert files(tmp_path / "out") == ["b.labels.png"]


def test_a_bug_keeps_its_stack_trace(segment: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(EntitySegmenter, "__call__", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        segment(photo(tmp_path / "a.png"))


class Terminal(io.StringIO):
    """Keeps what a terminal would show."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        lines = []
        for line in self.getvalue().split("\n"):
            shown = ""
            for part in line.split("\r"):
                shown = part + shown[len(part) :]
            lines.append(shown.rstrip())
        return lines


def test_a_terminal_shows_the_progress(segment: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("esg.commands.console._SECONDS_BETWEEN", 0)
    path = photo(tmp_path / "a.png")
    assert segment(path).status == 0
    assert "a.png: views 5/5" in terminal.getvalue()
    *lines, last = terminal.screen()
    assert last == ""
    assert [line.startswith(f"{path}: ") for line in lines] == [True]


def test_progress_lines_and_messages_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    import logging

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with contextlib.suppress(ValueError), Console() as console:
        console.progress("a long line of progress")
        console.line("done")
        console.progress("more progress")
        logging.getLogger("esg.images").info("noted")
        logging.getLogger("esg.images").warning("odd\nthing")
        logging.getLogger("another").warning("not ours")
        console.progress("more progress")
        raise ValueError
    assert terminal.screen() == ["done", "noted", "esg: odd thing", ""]


# -------------------------------------------------------------------------------------------------------------- weights


def test_weights_list(esg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESG_WEIGHTS", str(tmp_path))
    (tmp_path / "cropformer-swin-tiny.safetensors").touch()
    result = esg("weights", "list")
    assert (result.status, result.err) == (0, [])
    table = {line.split()[0]: line for line in result.out}
    assert set(PRESETS) == set(table) - {"NAME"}
    assert table["cropformer-swin-tiny"].endswith(str(tmp_path / "cropformer-swin-tiny.safetensors"))
    assert "esg weights download cropformer-hornet-large" in table["cropformer-hornet-large"]
    assert "CC BY-NC 4.0" in table["mask2former-swin-tiny"]
    assert "semantic" in table["mask2former-semantic-r50"]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are told differently there")
def test_a_reader_that_has_gone(root: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "esg", "weights", "list"]
    result = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, cwd=root, timeout=60)
    os.close(writing)
    assert (result.returncode, result.stderr) == (0, "")


def test_weights_verify(esg: Run, tiny_model: Path) -> None:
    result = esg("weights", "verify", tiny_model)
    assert (result.status, result.err) == (0, [])
    shown = {line.split()[0]: line for line in result.out}
    assert hashlib.sha256(tiny_model.read_bytes()).hexdigest() in shown["sha256"]
    assert f"{sum(tensor.numel() for tensor in load_file(tiny_model).values()):,}" in shown["parameters"]


def test_what_is_downloaded_is_not_asked_for_again(esg: Run, tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "cropformer-swin-tiny.safetensors"
    path.write_bytes(tiny_model.read_bytes())
    result = esg("weights", "download", "cropformer-swin-tiny", "--folder", tmp_path)
    assert (result.status, result.out, result.err) == (0, [str(path)], [])


def test_download_without_network(esg: Run, tmp_path: Path) -> None:
    result = esg("weights", "download", "cropformer-swin-tiny", "--folder", tmp_path)
    assert (result.status, result.out) == (2, [])
    (line,) = result.err
    assert "cannot be reached" in line
    assert list(tmp_path.iterdir()) == []


def test_convert(esg: Run, tiny_model: Path, tiny_preset: str, tmp_path: Path) -> None:
    out = tmp_path / "half.safetensors"
    result = esg("weights", "convert", tiny_model, "--out", out, "--half")
    assert (result.status, result.err) == (0, [])
    (line,) = result.out
    numbers = sum(tensor.numel() for tensor in load_file(tiny_model).values())
    assert line.startswith(f"{out}: {tiny_preset}, {numbers:,} parameters, ")
    assert {tensor.dtype for tensor in load_file(out).values()} == {torch.float16}


# ---------------------------------------------------------------------------------------------------------------- train


def test_train_goes_on_and_exports(esg: Run, tiny_preset: str, tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"measure_steps": 0, "precision": "fp32", "loss": {"points": 64}}))
    run, weights = tmp_path / "run", tmp_path / "weights.safetensors"
    options = ("--preset", "test", "--steps", 1, "--batch", 1, "--sizes", "64x64", "--workers", 0, "--device", "cpu")
    first = esg("train", "cropformer", "--out", run, "--config", settings, *options, "--export", weights)
    assert first.status == 0
    assert first.err[-1] == f"Written: {weights}"
    no_export = esg("train", "cropformer", "--out", run, "--export", tmp_path / "weights.bin")
    assert (no_export.status, len(no_export.err)) == (2, 1)
    again = esg("train", "cropformer", "--out", run, "--steps", 2)
    assert again.status == 0
    assert any("after step 1" in line for line in again.err)
    kept = read_config(run / "config.json")
    assert (kept.steps, kept.samples.batch, kept.samples.sizes, kept.loss.points) == (2, 1, ((64, 64),), 64)
    assert EntitySegmenter.from_pretrained(weights, device="cpu").name == tiny_preset


def test_a_run_is_called_like_its_preset(
    esg: Run, tiny_preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--sizes", "64x64", "--batch", 1, "--workers", 0, "--device", "cpu", "--precision", "fp32"]
    assert esg("train", "cropformer", "--preset", "test", "--steps", 1, *options).status == 0
    assert (tmp_path / "runs/cropformer-test/checkpoint.pt").is_file()
    assert esg("train", "cropformer", "--preset", "test", "--steps", 2).status == 0
    lines = (tmp_path / "runs/cropformer-test/log.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 2


def test_an_unknown_preset_leaves_no_folder(esg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = esg("train", "cropformer", "--preset", "nanoo")
    assert result.status == 2
    assert "no preset 'nanoo'" in result.err[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "options", "words"),
    [
        ({}, ("--device", "cpu", "--precision", "fp16"), "fp16 is for GPUs; use fp32 or bf16 on the CPU."),
        ({}, ("--device", "meta"), "The device 'meta' cannot be used here"),
        ({"ema": 1.5}, (), "The setting ema is 1.5, but must be at least 0 and below 1."),
        ({"samples": {"detail": [2, 1]}}, (), "The setting samples.detail is (2, 1)"),
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
    assert result.status == 2
    (line,) = result.err
    assert line.startswith(f"esg: {words}")
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_a_run_folder_that_cannot_be_written(esg: Run, tiny_preset: str, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("precious")
    result = esg("train", "cropformer", "--preset", tiny_preset, "--out", tmp_path / "run", "--device", "cpu")
    assert result.status == 2
    (line,) = result.err
    assert "cannot be written: a file lies where its folder should be" in line
    assert (tmp_path / "run").read_text() == "precious"


def test_interrupted_training(esg: Run, tiny_preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Console, "progress", lambda *_: signal.raise_signal(signal.SIGINT))
    options = ("--preset", "test", "--steps", 9, "--batch", 1, "--sizes", "64x64", "--workers", 0, "--device", "cpu")
    result = esg("train", "cropformer", "--out", tmp_path, *options, "--export", tmp_path / "weights.safetensors")
    assert result.status == 130
    assert "Interrupted after step 1" in result.err[-1]
    assert not (tmp_path / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"stepz": 3}', "unknown setting 'stepz'; there are preset, steps, samples"),
        ('{"samples": {"size": 3}}', "samples has an unknown setting 'size'; there are batch, sizes"),
        ('{"steps": "many"}', "steps is 'many', but should be like 20000"),
        ('{"steps": 2.5}', "steps is 2.5"),
        ('{"steps": true}', "steps is True"),
        ('{"samples": {"sizes": 64}}', "samples: sizes is 64"),
        ('{"samples": 64}', "samples must be a JSON object"),
        ('{"init": 3}', "init is 3"),
        ('{"lr": NaN}', "lr is nan, but must be above 0"),
        ("[]", "must be a JSON object"),
        ("{", "is no JSON file"),
    ],
)
def test_settings_are_checked(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(path)


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    import dataclasses

    from esg.training.config import TrainConfig

    config = TrainConfig(steps=3, init="weights.safetensors", lr=1)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(dataclasses.asdict(config)))
    assert read_config(path) == config


# ----------------------------------------------------------------------------------------------------------------- demo


def test_demo(esg: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setitem(sys.modules, "web_demo", SimpleNamespace(launch=lambda **options: calls.append(options)))
    assert esg("demo", "--port", 8000, "--no-browser").status == 0
    (options,) = calls
    assert (options["host"], options["port"], options["open_browser"]) == ("127.0.0.1", 8000, False)


def test_demo_where_the_page_is_not_installed(esg: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "entry_points", lambda **_: ())
    result = esg("demo")
    assert result.status == 2
    assert 'pip install "esg[demo]"' in result.err[0]
