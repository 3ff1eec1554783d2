from __future__ import annotations

import dataclasses
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from esg.models.cropformer.model import CropFormer
from esg.weights.loading import load_segmenter

Nodes = Callable[[str], Any]
Load = Callable[..., Any]


@pytest.fixture
def load(nodes: Nodes) -> Load:
    return lambda model, precision="fp32", device="cpu", attention="auto", download=False: nodes("LoadSegmenter").load(
        model, precision, device, attention, download
    )[0]


def names(nodes: Nodes, loader: str) -> list[str]:
    return nodes(loader).INPUT_TYPES()["required"]["model"][0]


def test_the_lists_offer_what_is_known_and_what_lies_in_the_folder(nodes: Nodes, home: Path) -> None:
    found = names(nodes, "LoadSegmenter")
    assert found[0] == "cropformer-nano"
    assert {"cropformer-hornet-large", "mask2former-panoptic-r50", "own/tiny.safetensors"} < {*found}
    assert "gella-nano" not in found
    found = names(nodes, "LoadGrounder")
    assert found[0] == "gella-nano"
    assert {"words.safetensors", "zero-shot"} < {*found}


def test_the_network_is_compiled_only_if_asked(
    nodes: Nodes, load: Load, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []
    plain = load("own/tiny.safetensors")
    network = type(plain.model.model)  # the pack has its own copy of the core
    monkeypatch.setattr(network, "compile_levels", lambda model: compiled.append(model))
    (fast,) = nodes("LoadSegmenter").load("own/tiny.safetensors", "fp32", "cpu", "auto", False, compile=True)
    assert compiled == [fast.model.model]
    assert fast is not plain


def test_a_grounder_is_compiled_only_if_asked(nodes: Nodes, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    (plain,) = nodes("LoadGrounder").load("words.safetensors", "fp32", "cpu")
    language = next(module for module in plain.model.networks[0].modules() if type(module).__name__ == "Language")
    monkeypatch.setattr(type(language), "compile_steps", lambda module: compiled.append(module))
    (fast,) = nodes("LoadGrounder").load("words.safetensors", "fp32", "cpu", compile=True)
    assert len(compiled) == 1
    assert fast is not plain


def test_the_lists_offer_only_what_fits(nodes: Nodes, home: Path) -> None:
    (home / "as_published.pth").write_bytes(b"what it is, only reading it tells")
    (home / "broken.safetensors").write_bytes(b"")
    assert "words.safetensors" not in names(nodes, "LoadSegmenter")
    assert "own/tiny.safetensors" not in names(nodes, "LoadGrounder")
    for loader in ("LoadSegmenter", "LoadGrounder"):
        assert {"as_published.pth", "broken.safetensors"} < {*names(nodes, loader)}


def test_public_models_are_downloaded_only_if_allowed(
    nodes: Nodes, part: Callable[[str], Any], core: Any, monkeypatch: pytest.MonkeyPatch, home: Path, hf_home: Path
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(part("loading"), "download_public", lambda names, say: asked.append(names))
    clip = "openai/clip-vit-large-patch14-336"
    load = nodes("LoadGrounder").load
    with pytest.raises(core.WeightsError, match=r"clip-vit-large-patch14-336 .* switch on download"):
        load("zero-shot:none", "fp32", "cpu")
    assert asked == []
    (home / "writer").mkdir()
    for model, folder, expected in (
        ("zero-shot:none", "", [clip]),
        ("zero-shot", "", [clip, "llava-hf/llava-1.5-7b-hf"]),
        ("zero-shot", "someone/model", [clip, "someone/model"]),
        ("zero-shot-4bit", "writer", [clip, str((home / "writer").resolve())]),
    ):
        with pytest.raises(core.WeightsError, match="not on this machine"):
            load(model, "fp32", "cpu", True, folder)
        assert asked[-1] == expected
    for outside in ("../..", "/etc", "a/../b", "none at all"):
        with pytest.raises(core.WeightsError, match="The folder"):
            load("zero-shot", "fp32", "cpu", True, outside)


def test_a_public_model_that_cannot_be_fetched_is_one_sentence(core: Any, hf_home: Path) -> None:
    with pytest.raises(core.WeightsError, match=r"someone/model cannot be downloaded .* `hf download someone/model`"):
        core.download_public(["someone/model"], say=lambda line: None)


def test_a_folder_that_comfyui_does_not_serve_is_told(part: Callable[[str], Any]) -> None:
    unserved = part("host").unserved
    for name in ("esg-nodes", "esg", "ESG_1.0"):
        assert unserved(name) == ""
    for name in ("esg nodes", "实体", "été"):
        assert f"from the folder {name!r}" in unserved(name)


def test_without_a_folder_there_are_the_known_models(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "cropformer-nano" in names(nodes, "LoadSegmenter")


def test_a_known_model_in_the_folder_is_listed_once_and_found(
    nodes: Nodes, part: Callable[[str], Any], home: Path
) -> None:
    path = home / "CropFormer_swin_tiny_3x_5cea5e.pth"
    path.write_bytes(b"as it is published")
    (home / "cropformer-hornet-large.pth").write_bytes(b"as it is named here")
    assert names(nodes, "LoadSegmenter").count("cropformer-hornet-large") == 1
    assert "cropformer-hornet-large.pth" not in names(nodes, "LoadSegmenter")
    assert part("loading").find_weights("cropformer-swin-tiny").samefile(path)
    assert part("loading").find_weights("cropformer-hornet-large").samefile(home / "cropformer-hornet-large.pth")


def test_the_same_model_is_loaded_once_and_freed_with_its_last_user(load: Load, part: Any, home: Path) -> None:
    one, other = load("own/tiny.safetensors"), load("own/tiny.safetensors")
    assert one is other
    assert load("own/tiny.safetensors", precision="bf16") is not one
    before = len(part("loading")._LOADED)
    del one, other
    gc.collect()
    assert len(part("loading")._LOADED) < before


def test_categories_name_the_classes_of_a_model(
    nodes: Nodes, home: Path, tiny_model: Path, core: Any, image: torch.Tensor
) -> None:
    _, preset, _ = load_segmenter(tiny_model)
    config = dataclasses.replace(preset.config, association=False, classes=2)
    torch.manual_seed(0)
    state = {name: value.contiguous() for name, value in CropFormer(config).state_dict().items()}
    save_file(state, home / "semantic.safetensors", {"config": config.to_json(), "task": "semantic"})
    (home / "own/classes.json").write_text('{"categories": [{"id": 1, "name": "sky"}, {"id": 2, "name": "dog"}]}')
    loader, options = nodes("LoadSegmenter"), ("semantic.safetensors", "fp32", "cpu", "auto", False)
    (named,) = loader.load(*options, categories=" own/classes.json ")
    (unnamed,) = loader.load(*options)
    assert named is not unnamed
    segment = nodes("SegmentEntities")
    for segmenter, expected in ((named, {"sky", "dog"}), (unnamed, {"class 0", "class 1"})):
        for _ in range(2):  # the second time from the recent results
            entities, *_ = segment.segment(segmenter, image, "auto", -1, 0, 0, "each entity", False, size=64)
            names = {name for of_picture in entities.names for name in of_picture}
            assert names
            assert names <= expected
        first = entities.maps[0]
        (segs,) = nodes("EntitiesToSegs").convert(
            segment.segment(segmenter, image[:1], "auto", -1, 0, 0, "each entity", False, size=64)[0], 3
        )
        assert [seg.label for seg in segs[1]] == list(first.names)
    before = loader.IS_CHANGED("semantic.safetensors", categories="own/classes.json")
    os.utime(home / "own/classes.json", ns=(1, 1))
    assert loader.IS_CHANGED("semantic.safetensors", categories="own/classes.json") != before


@pytest.mark.parametrize("name", ["none.json", "../../outside.json", "/etc/passwd"])
def test_categories_come_only_from_the_folder_of_models(nodes: Nodes, home: Path, core: Any, name: str) -> None:
    (home / "../../outside.json").write_text("[]")
    with pytest.raises(core.InputError, match=r"^The file '.*' is not in .*; put the COCO JSON there, and write"):
        nodes("LoadSegmenter").load("own/tiny.safetensors", "fp32", "cpu", "auto", False, name)


def test_a_file_that_was_written_again_is_read_again(load: Load, nodes: Nodes, home: Path) -> None:
    changed = nodes("LoadSegmenter").IS_CHANGED
    one, before = load("own/tiny.safetensors"), changed("own/tiny.safetensors")
    assert changed("own/tiny.safetensors") == before
    os.utime(home / "own/tiny.safetensors", ns=(1, 1))
    assert changed("own/tiny.safetensors") != before
    assert load("own/tiny.safetensors") is not one


def test_what_is_missing_says_where_it_was_looked_for_and_what_to_do(
    load: Load, core: Any, nodes: Nodes, home: Path
) -> None:
    with pytest.raises(core.WeightsError) as caught:
        load("cropformer-hornet-large")
    for words in ("models", "entityseg", "download", "CC BY-NC 4.0", "cropformer-nano"):
        assert words in str(caught.value)
    with pytest.raises(core.WeightsError, match=r"The model or file 'gone\.safetensors' is not in"):
        load("gone.safetensors")
    missing = nodes("LoadSegmenter").IS_CHANGED("cropformer-hornet-large")
    assert missing != missing  # so that it is tried again


def test_files_outside_the_folder_are_not_reached(load: Load, core: Any, home: Path, tiny_model: Path) -> None:
    (home.parent / "outside.safetensors").write_bytes(tiny_model.read_bytes())
    with pytest.raises(core.WeightsError, match="The model or file"):
        load("../outside.safetensors")


def test_a_download_goes_to_the_folder_and_only_if_allowed(
    load: Load, part: Callable[[str], Any], core: Any, monkeypatch: pytest.MonkeyPatch, home: Path, tiny_model: Path
) -> None:
    asked = []

    def download(name: str, folder: Path, say: Any) -> Path:
        asked.append((name, folder.resolve()))
        path = folder / "cropformer-swin-tiny.safetensors"
        path.write_bytes(tiny_model.read_bytes())
        return path

    monkeypatch.setattr(part("loading"), "download", download)
    with pytest.raises(core.WeightsError):
        load("cropformer-swin-tiny")
    assert asked == []
    load("cropformer-swin-tiny", download=True)
    assert asked == [("cropformer-swin-tiny", home.resolve())]
    load("cropformer-swin-tiny", download=True)
    assert len(asked) == 1


def test_a_grounder_in_place_of_a_segmenter_is_refused(load: Load, core: Any, home: Path) -> None:
    with pytest.raises(core.WeightsError, match="grounds words"):
        load("words.safetensors")


def test_fp16_is_for_gpus(load: Load, core: Any, home: Path) -> None:
    with pytest.raises(core.InputError, match="fp16 is for GPUs"):
        load("own/tiny.safetensors", precision="fp16")
