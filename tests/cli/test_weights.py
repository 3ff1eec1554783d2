"""`esg weights`: list, download, convert and verify."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from esg.models.cropformer.config import PRESETS
from esg.models.zeroshot.zero_shot import CLIP, WRITER

Run = Callable[..., Any]


def test_weights_list(esg: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESG_WEIGHTS", str(tmp_path))
    (tmp_path / "cropformer-swin-tiny.safetensors").touch()
    result = esg("weights", "list")
    assert result.status == 0
    assert [line.split()[0] for line in result.err] == ["cropformer-nano", "gella-nano"]  # and what they know
    table = {line.split()[0]: line for line in result.out}
    unpublished = {"cropformer-r50", "mask2former-r50"}
    assert {*PRESETS, "gella-nano", "zero-shot"} - unpublished == set(table) - {"NAME"}
    assert "grounding" in table["gella-nano"]
    assert table["cropformer-swin-tiny"].endswith(str(tmp_path / "cropformer-swin-tiny.safetensors"))
    assert "esg weights download cropformer-hornet-large" in table["cropformer-hornet-large"]
    assert "CC BY-NC 4.0" in table["mask2former-swin-tiny"]
    assert "semantic" in table["mask2former-semantic-r50"]


def test_zero_shot_is_listed_with_its_models(esg: Run, hf_home: Path) -> None:
    def row() -> str:
        return next(line for line in esg("weights", "list").out if line.startswith("zero-shot "))

    assert row().endswith(f"made of public models: `hf download {CLIP}` and `hf download {WRITER}`")
    folders = []
    for name in (CLIP, WRITER):
        repository = hf_home / "hub" / f"models--{name.replace('/', '--')}"
        folders.append(repository / "snapshots" / "a")
        folders[-1].mkdir(parents=True)
        (folders[-1] / "config.json").touch()
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("a")
        if name == CLIP:
            assert row().endswith(f"public models: `hf download {WRITER}`")
    assert row().endswith(f"public models: {folders[0]} and {folders[1]}")


def test_weights_verify(esg: Run, tiny_model: Path) -> None:
    result = esg("weights", "verify", tiny_model)
    assert (result.status, result.err) == (0, [])
    shown = {line.split()[0]: line for line in result.out}
    assert hashlib.sha256(tiny_model.read_bytes()).hexdigest() in shown["sha256"]
    assert f"{sum(tensor.numel() for tensor in load_file(tiny_model).values()):,}" in shown["parameters"]


def test_weights_verify_of_a_gella(esg: Run, tiny_gella: Path) -> None:
    result = esg("weights", "verify", tiny_gella)
    assert (result.status, result.err) == (0, [])
    assert "tiny-gella (grounding), every tensor fits" in "".join(result.out)


def test_a_training_run_of_gella_is_not_a_weight_file(esg: Run, tiny_gella: Path, tmp_path: Path) -> None:
    state = {f"gella.{name}": value for name, value in load_file(tiny_gella).items()}
    torch.save({"step": 1, "ema": state, "optimizers": []}, tmp_path / "checkpoint.pt")
    esg("weights", "verify", tmp_path).refused(f"`esg train gella --out {tmp_path} --export FILE.safetensors`")


def test_what_is_downloaded_is_not_asked_for_again(esg: Run, tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "cropformer-swin-tiny.safetensors"
    path.write_bytes(tiny_model.read_bytes())
    result = esg("weights", "download", "cropformer-swin-tiny", "--folder", tmp_path)
    assert (result.status, result.out, result.err) == (0, [str(path)], [])


def test_download_without_network(esg: Run, tmp_path: Path) -> None:
    esg("weights", "download", "cropformer-swin-tiny", "--folder", tmp_path).refused("cannot be reached")
    assert list(tmp_path.iterdir()) == []


def test_convert(esg: Run, tiny_model: Path, tiny_preset: str, tmp_path: Path) -> None:
    out = tmp_path / "half.safetensors"
    result = esg("weights", "convert", tiny_model, "--out", out, "--half")
    assert (result.status, result.err) == (0, [])
    (line,) = result.out
    numbers = sum(tensor.numel() for tensor in load_file(tiny_model).values())
    assert line.startswith(f"{out}: {tiny_preset}, {numbers:,} parameters, ")
    assert {tensor.dtype for tensor in load_file(out).values()} == {torch.float16}


@pytest.mark.usefixtures("tiny_preset")
def test_an_earlier_file_is_replaced_only_if_it_may_be(esg: Run, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "half.safetensors"
    out.write_text("precious")
    esg("weights", "convert", tiny_model, "--out", out, "--no-overwrite").refused(f"{out} already exists")
    assert out.read_text() == "precious"
    result = esg("weights", "convert", tiny_model, "--out", out)
    assert (result.status, result.err) == (0, [f"{out} already existed and was replaced."])


@pytest.mark.usefixtures("tiny_preset")
def test_a_full_disk_while_converting(
    esg: Run, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    esg("weights", "convert", tiny_model, "--out", tmp_path / "out.safetensors").refused("the disk is full")
    assert list(tmp_path.iterdir()) == []
