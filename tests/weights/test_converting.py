"""Written weight files: nothing is lost, and their metadata name the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import load_file, save_file

from esg import EntitySegmenter
from esg.models.cropformer.checkpoints import our_name
from esg.models.cropformer.config import PRESETS, CropFormerConfig
from esg.support.errors import InputError, WeightsError
from esg.support.weight_files import read_state_dict
from esg.weights.converting import Converted, convert_file, write_weights

DTYPES = [np.float16, np.float32, np.float64, np.int64, np.uint8, np.bool_]
names = st.text("abcdefgh._0123", min_size=1, max_size=12)
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=0, max_dims=3, max_side=4),
        elements=st.floats(-60000, 60000, width=16) if np.issubdtype(dtype, np.floating) else None,
    )
)
states = st.dictionaries(names, arrays.map(lambda array: torch.from_numpy(array.T)), max_size=4)


@given(state=states, half=st.booleans())
def test_what_is_written_is_read(
    state: dict[str, torch.Tensor], half: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of any shape and dtype and not in one piece; the numbers are such as fp16 can hold."""
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    write_weights(path, state, "cropformer-swin-tiny", half=half, steps="3")
    read, metadata = read_state_dict(path)
    assert metadata.pop("steps") == "3"
    assert metadata.pop("preset") == "cropformer-swin-tiny"
    assert CropFormerConfig.from_json(metadata["config"]) == PRESETS["cropformer-swin-tiny"].config
    assert read.keys() == state.keys()
    for name, value in state.items():
        assert read[name].dtype == (torch.float16 if half and value.is_floating_point() else value.dtype)
        assert torch.equal(read[name].to(value.dtype), value)


def test_a_tensor_under_two_names_is_written_twice(tmp_path: Path) -> None:
    one = torch.arange(3.0)
    write_weights(tmp_path / "tied.safetensors", {"a": one, "b": one, "c": one[1:]}, "cropformer-swin-tiny")
    written = {name: value.tolist() for name, value in load_file(tmp_path / "tied.safetensors").items()}
    assert written == {"a": [0, 1, 2], "b": [0, 1, 2], "c": [1, 2]}


@pytest.mark.parametrize("half", [False, True])
def test_a_converted_file_is_recognised_by_its_metadata(
    tiny_model: Path, tiny_preset: str, tmp_path: Path, half: bool
) -> None:
    out = tmp_path / "new/weights.safetensors"
    before = load_file(tiny_model)
    numbers = sum(value.numel() for value in before.values())
    assert convert_file(tiny_model, out, half=half) == Converted(out, tiny_preset, numbers)
    after = load_file(out)
    assert before.keys() == after.keys()
    assert all(torch.equal(value.half() if half else value, after[name]) for name, value in before.items())
    segmenter = EntitySegmenter.from_pretrained(out, device="cpu")
    assert segmenter.name == tiny_preset
    assert segmenter.preset == PRESETS[tiny_preset]


def test_the_authors_names_are_read(shared: Path, tiny_model: Path, tiny_preset: str, tmp_path: Path) -> None:
    published = json.loads((shared / "reference/manifests/cropformer_swin_tiny_3x.json").read_text())
    official = {our_name(key): key for key in published["parameters"]}
    state = load_file(tiny_model)
    torch.save({"model": {official[name]: value for name, value in state.items()}}, tmp_path / "theirs.pth")
    assert convert_file(tmp_path / "theirs.pth", tmp_path / "ours.safetensors").preset == tiny_preset
    converted = load_file(tmp_path / "ours.safetensors")
    assert converted.keys() == state.keys()
    assert all(torch.equal(value, converted[name]) for name, value in state.items())


def test_the_source_is_not_overwritten(tiny_model: Path, tiny_preset: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(tiny_model.read_bytes())
    (tmp_path / "link.safetensors").symlink_to(path)
    for out in (tmp_path / "." / "a.safetensors", tmp_path / "link.safetensors"):
        with pytest.raises(InputError, match="give the result another name"):
            convert_file(path, out)
    assert path.read_bytes() == tiny_model.read_bytes()


def test_a_source_that_the_system_refuses(tmp_path: Path) -> None:
    (tmp_path / "out.safetensors").write_text("earlier")
    with pytest.raises(WeightsError, match="cannot be read"):
        convert_file(tmp_path / ("x" * 300), tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_text() == "earlier"


def test_the_result_must_be_named_safetensors(tiny_model: Path, tiny_preset: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.safetensors"):
        convert_file(tiny_model, tmp_path / "weights.pth")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_gella_need_no_conversion(tiny_gella: Path, tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"tiny-gella\.safetensors holds weights of GELLA, which do not need conversion"
    ):
        convert_file(tiny_gella, tmp_path / "out.safetensors")
    save_file(load_file(tiny_gella), tmp_path / "bare.safetensors")
    with pytest.raises(WeightsError, match="its metadata lack config and tokenizer"):
        convert_file(tmp_path / "bare.safetensors", tmp_path / "out.safetensors")
    state = {f"gella.{name}": value for name, value in load_file(tiny_gella).items()}
    torch.save({"step": 1, "ema": state, "optimizers": []}, tmp_path / "checkpoint.pt")
    with pytest.raises(WeightsError, match=r"`esg train gella --out .* --export FILE\.safetensors`"):
        convert_file(tmp_path / "checkpoint.pt", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_what_fp16_cannot_hold_is_refused(tiny_model: Path, tiny_preset: str, tmp_path: Path) -> None:
    state = load_file(tiny_model)
    state["decoder.norm.weight"][0] = 1e5
    save_file(state, tmp_path / "large.safetensors")
    with pytest.raises(WeightsError, match=r"decoder\.norm\.weight .* fp16"):
        convert_file(tmp_path / "large.safetensors", tmp_path / "out.safetensors", half=True)
    assert [path.name for path in tmp_path.iterdir()] == ["large.safetensors"]
