"""Weights that are missing, damaged, malicious or of another model: one line from every command that reads them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

Run = Callable[..., Any]
Written = Callable[[], list[str]]
Make = Callable[[Path, Path], None]


class Hostile:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def other_architecture(path: Path, tiny: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path)


def incomplete(path: Path, tiny: Path) -> None:
    with safe_open(tiny, "pt") as file:
        metadata = file.metadata()
    state = load_file(tiny)
    del state["decoder.norm.weight"]
    save_file(state, path, metadata)


def class_aware(path: Path, tiny: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path, {"preset": "mask2former-semantic-r50"})


def cut_short(path: Path, tiny: Path) -> None:
    path.write_bytes(tiny.read_bytes()[:5000])


def another_program(path: Path, tiny: Path) -> None:
    torch.save({"model": {"sem_seg_head.strange": torch.zeros(3)}}, path)


def hostile(path: Path, tiny: Path) -> None:
    torch.save({"model": Hostile(path.with_name("harm"))}, path)


def hostile_plain(path: Path, tiny: Path) -> None:
    path.write_bytes(pickle.dumps(Hostile(path.with_name("harm"))))


def web_page(path: Path, tiny: Path) -> None:
    path.write_text("<!doctype html><title>Log in</title>")


def pointer(path: Path, tiny: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("cropformer-nanoo", ("no model or file called 'cropformer-nanoo'", "did you mean cropformer-nano")),
        ("cropformer-swin-tiny", ("not on this machine", "esg weights download cropformer-swin-tiny")),
        ("weights/mine.pth", ("mine.pth", "does not exist")),
    ],
)
def test_a_model_that_is_not_there(
    segment: Run, photo: Path, written: Written, model: str, words: tuple[str, ...]
) -> None:
    segment(photo, "--model", model).refused(*words)
    assert written() == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (other_architecture, "does not fit any CropFormer"),
        (incomplete, "lacks decoder.norm.weight"),
        (class_aware, "does not fit this model"),
        (cut_short, "damaged or incomplete"),
        (another_program, "sem_seg_head.strange"),
        (hostile, "contains more than weights"),
        (hostile_plain, "cannot be read as weights"),
        (web_page, "is a web page"),
        (pointer, "git lfs pull"),
    ],
)
def test_a_wrong_checkpoint(
    segment: Run, tmp_path: Path, photo: Path, written: Written, tiny_model: Path, make: Make, words: str
) -> None:
    weights = tmp_path / "weights.pth"
    make(weights, tiny_model)
    segment(photo, "--model", weights).refused(words)
    assert written() == []
    assert not (tmp_path / "harm").exists()


def test_a_model_that_grounds_is_not_one_that_segments(
    segment: Run, tmp_path: Path, photo: Path, written: Written, tiny_gella: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esg.weights.finding.ASSETS", tmp_path / "assets")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/gella-nano.safetensors").write_bytes(tiny_gella.read_bytes())
    segment(photo, "--model", "gella-nano").refused("gella-nano grounds words in entities", "cropformer-nano")
    segment(photo, "--model", tiny_gella).refused("tiny-gella.safetensors grounds words in entities", "cropformer-nano")
    assert written() == []


@pytest.mark.parametrize("command", ["convert", "verify"])
@pytest.mark.parametrize("make", [other_architecture, cut_short, another_program, hostile, web_page])
def test_wrong_weights_for_the_other_commands(
    esg: Run, tmp_path: Path, tiny_model: Path, command: str, make: Make
) -> None:
    weights = tmp_path / "weights.pth"
    make(weights, tiny_model)
    options = ["--out", tmp_path / "out.safetensors"] if command == "convert" else []
    esg("weights", command, weights, *options).refused("esg: ")
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pth"]
