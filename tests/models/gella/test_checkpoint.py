from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from esg.models.gella import checkpoint
from esg.models.gella.checkpoint import load_gella, read_gella, write_gella
from esg.models.gella.conversation import Text
from esg.models.gella.model import Gella
from esg.support.errors import WeightsError
from esg.support.weight_files import read_state_dict


@pytest.fixture
def written(speaker: Any, tmp_path: Path) -> tuple[Gella, Path]:
    config, tokenizer = speaker
    torch.manual_seed(0)
    model = Gella(config).half().float()  # what fp16 can hold
    path = tmp_path / "tiny.safetensors"
    write_gella(path, model.state_dict(), config, tokenizer, preset="tiny", steps=7)
    return model, path


def test_a_model_comes_back_with_its_tokenizer(speaker: Any, written: tuple[Gella, Path]) -> None:
    model, path = written
    again, tokenizer = read_gella(path)
    assert tokenizer.to_str() == speaker[1].to_str()
    assert again.config == model.config
    assert not again.training
    theirs = model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in again.state_dict().items())
    other = Gella(model.config)
    load_gella(other, path)
    assert all(torch.equal(value, theirs[name]) for name, value in other.state_dict().items())


def test_nothing_of_a_model_that_comes_back_is_missing(written: tuple[Gella, Path]) -> None:
    half, path = written
    model = Gella(half.config)  # whose tables, which are in no file, are not rounded
    model.load_state_dict(half.state_dict())
    again = read_gella(path)[0]
    assert not any(value.is_meta for value in (*again.parameters(), *again.buffers()))
    buffers, theirs = dict(again.named_buffers()), dict(model.named_buffers())
    assert buffers.keys() == theirs.keys()
    assert all(torch.equal(buffers[name], theirs[name]) for name in buffers)
    trained = {name for name, value in again.named_parameters() if value.requires_grad}
    assert trained == {name for name, value in model.named_parameters() if value.requires_grad}
    inputs = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 64, 64), [Text(torch.tensor([1, 3, 7, 4, 2]), 2)], [0], [0]
    with torch.no_grad():
        ours, expected = again(*inputs), model.eval()(*inputs)
    assert torch.equal(ours.answers, expected.answers)
    assert torch.equal(ours.scores[0], expected.scores[0])
    assert torch.equal(ours.masks.masks(), expected.masks.masks())


def test_the_language_side_may_be_kept_in_less(written: tuple[Gella, Path]) -> None:
    model, path = written
    theirs = model.state_dict()
    for name, value in read_gella(path, torch.bfloat16)[0].state_dict().items():
        expected = theirs[name].bfloat16() if name.startswith("language.") else theirs[name]
        assert value.dtype == expected.dtype
        assert torch.equal(value, expected)


def test_the_file_can_be_deleted_after_reading(speaker: Any, written: tuple[Gella, Path]) -> None:
    model, path = written
    again = read_gella(path, torch.float16)[0]  # as it is in the file, and yet a copy
    path.write_bytes(bytes(path.stat().st_size))
    theirs = model.state_dict()
    assert all(torch.equal(value.float(), theirs[name].float()) for name, value in again.state_dict().items())


def test_names_in_the_file_are_ours(written: tuple[Gella, Path]) -> None:
    with safe_open(written[1], "pt") as file:
        names, metadata = set(file.keys()), file.metadata()
    assert {"language.vision.pre_layrnorm.weight", "language.decoder.norm.weight", "language.head.weight"} <= names
    assert {"language.projector.linear_1.weight", "association.entity.weight"} <= names
    assert not any("llava" in name or "language_model" in name for name in names)
    assert metadata["preset"] == "tiny"
    assert metadata["steps"] == "7"
    assert json.loads(metadata["config"])["colormap_side"] == 64


def test_a_model_that_sees_larger_squares_starts_from_a_file_but_a_file_is_read_as_it_is(
    written: tuple[Gella, Path],
) -> None:
    model, path = written
    config = dataclasses.replace(model.config, vision=dataclasses.replace(model.config.vision, side=24))
    larger = Gella(config)
    load_gella(larger, path)
    given, found = model.state_dict(), larger.state_dict()
    (positions,) = (name for name in found if name.endswith("position_embedding.weight"))
    assert (given[positions].shape, found[positions].shape) == ((17, 32), (37, 32))
    assert torch.equal(found[positions][0], given[positions][0])
    assert all(torch.equal(value, given[name]) for name, value in found.items() if name != positions)

    tensors, metadata = read_state_dict(path)
    save_file(tensors, path, {**metadata, "config": config.to_json()})
    with pytest.raises(WeightsError, match=r"shape: 1, such as language\.vision\.embeddings\.position_embedding"):
        read_gella(path)


def test_a_run_checkpoint_is_distinguished_from_a_weight_file(written: tuple[Gella, Path], tmp_path: Path) -> None:
    model, _ = written
    path = tmp_path / "checkpoint.pt"
    state = {f"gella.{name}": value for name, value in model.state_dict().items()}
    torch.save({"step": 1, "ema": state, "optimizers": []}, path)
    for read in (read_gella, partial(load_gella, model)):
        with pytest.raises(WeightsError, match=rf"`esg train gella --out {tmp_path} --export FILE\.safetensors`"):
            read(path)


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape", "no-config", "bad-config"])
def test_a_file_that_does_not_fit_is_refused_in_one_sentence(written: tuple[Gella, Path], fault: str) -> None:
    model, path = written
    with safe_open(path, "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())  # noqa: SIM118
    name = "association.entity.bias"
    if fault == "missing":
        del tensors[name]
    elif fault == "unknown":
        tensors["extra"] = torch.zeros(1)
    elif fault == "shape":
        tensors[name] = torch.zeros(3)
    elif fault == "no-config":
        metadata = {}
    else:
        metadata["config"] = '{"vision": 3}'
    save_file(tensors, path, metadata)
    with pytest.raises(WeightsError) as caught:
        read_gella(path)
    assert "\n" not in str(caught.value)
    if fault in ("missing", "unknown", "shape"):
        assert f"shape: 1, such as {'extra' if fault == 'unknown' else name}" in str(caught.value)
        other = Gella(model.config)
        before = {name: value.clone() for name, value in other.state_dict().items()}
        with pytest.raises(WeightsError):
            load_gella(other, path)
        assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


def test_every_weight_has_a_unique_name(written: tuple[Gella, Path]) -> None:
    names = list(written[0].state_dict())
    assert len({checkpoint.our_name(name) for name in names}) == len(names)
