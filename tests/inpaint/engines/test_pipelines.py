"""Reading diffusers models: folders, the hub's cache, single files; without network, pickles or foreign code."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from esg import DiffusionInpainting, EsgError, WeightsError

diffusers = pytest.importorskip("diffusers", reason="repainting needs diffusers")

UNET = "unet/diffusion_pytorch_model.safetensors"
PARENT = "stable-diffusion-v1-5/stable-diffusion-inpainting"  # whose configuration single files of 9 channels have


@pytest.fixture(autouse=True)
def no_network(hf_home: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that are asked for, though nothing forbids it; each gets a failure."""
    from huggingface_hub import constants

    asked: list[str] = []

    def refuse(host: str, *_: Any, **__: Any) -> None:
        asked.append(host)
        raise OSError("there is no network in tests")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


@pytest.fixture
def model(tiny_diffusion: Callable[[int], Path], tmp_path: Path) -> Path:
    """A model of 9 channels that may be spoilt."""
    return shutil.copytree(tiny_diffusion(9), tmp_path / "model")


@pytest.fixture
def cache(hf_home: Path) -> Callable[[str, Path], Path]:
    """Puts a folder into huggingface_hub's cache under a name."""

    def put(name: str, folder: Path) -> Path:
        place = hf_home / "hub" / f"models--{name.replace('/', '--')}"
        (place / "refs").mkdir(parents=True)
        (place / "refs/main").write_text("0" * 40)
        return shutil.copytree(folder, place / "snapshots" / ("0" * 40))

    return put


def load(model: str | Path, **options: Any) -> DiffusionInpainting:
    return DiffusionInpainting.from_pretrained(model, device="cpu", **options)


def refused(model: str | Path, words: str, **options: Any) -> None:
    with pytest.raises(WeightsError, match=words) as error:
        load(model, **options)
    assert "\n" not in str(error.value)


def same(engine: DiffusionInpainting, other: DiffusionInpainting) -> bool:
    """Whether they paint the same, with all of their parts."""
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    made, expected = (one(picture, np.ones((32, 48)), "red", steps=2) for one in (engine, other))
    return np.array_equal(made, expected)


def test_a_folder_and_a_name_in_the_cache(
    model: Path, cache: Callable[[str, Path], Path], no_network: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    from diffusers.utils import logging as diffusers_says

    before = diffusers_says.get_verbosity(), diffusers_says.is_progress_bar_enabled()
    cache("somebody/tiny", model)
    assert same(load(model), load("somebody/tiny"))
    assert same(load(str(model)), load("somebody/tiny"))
    assert not no_network
    assert capfd.readouterr().err == ""
    assert (diffusers_says.get_verbosity(), diffusers_says.is_progress_bar_enabled()) == before


def test_files_of_half_precision_are_read_where_there_are_no_others(model: Path) -> None:
    half = model / UNET.replace(".safetensors", ".fp16.safetensors")
    save_file({name: value.half() for name, value in load_file(model / UNET).items()}, half)
    whole = load(model)
    assert whole.pipeline.unet.conv_in.weight.equal(load_file(model / UNET)["conv_in.weight"])
    (model / UNET).unlink()
    engine = load(model)
    assert engine.pipeline.unet.dtype == torch.float32
    assert engine.pipeline.unet.conv_in.weight.equal(load_file(half)["conv_in.weight"].float())
    assert engine.pipeline.vae.decoder.conv_in.weight.equal(whole.pipeline.vae.decoder.conv_in.weight)


# ----------------------------------------------------------------------------------------------------------- downloads


@pytest.mark.parametrize("name", ["somebody/no-such-model", "no-such-model"])
def test_what_is_not_here_is_named_without_asking_the_network(name: str, no_network: list[str]) -> None:
    refused(name, rf"^{name} is not on this machine: get it with `hf download {name}`, or .*; pass download=True to")
    assert not no_network


@pytest.mark.parametrize(
    "name",
    [
        Path("no/folder"),
        Path("no-folder"),
        "no/such/folder",
        "/no/folder",
        "~nobody-here/a",
        "a b",
        "x" * 300,
        "no.safetensors",
    ],
)
def test_what_could_be_no_name(name: str | Path, no_network: list[str]) -> None:
    refused(name, f"The folder or file {name} does not exist")
    with pytest.raises(WeightsError, match=f"^The folder or file {name} does not exist, and it is not a valid name"):
        DiffusionInpainting.find(name)
    refused(name, f"The folder or file {name} does not exist", download=True)
    assert not no_network


def test_where_a_model_lies_is_found_without_reading_it(
    cache: Callable[[str, Path], Path], no_network: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a.safetensors").touch()
    for place in (tmp_path, tmp_path / "a.safetensors"):
        assert DiffusionInpainting.find(place) == DiffusionInpainting.find(str(place)) == place
    assert DiffusionInpainting.find("somebody/tiny") is None
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/model_index.json").touch()
    cached = cache("somebody/tiny", tmp_path / "tiny")
    assert DiffusionInpainting.find("somebody/tiny") == cached
    assert not no_network


def test_a_download_without_a_network(
    model: Path, cache: Callable[[str, Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi

    def fail(self: HfApi, name: str) -> None:
        raise OSError("no\nroute")

    monkeypatch.setattr(HfApi, "list_repo_files", fail)
    words = r"somebody/tiny cannot be downloaded \(OSError: no route\); check its name, the network"
    refused("somebody/tiny", words, download=True)
    cache("somebody/tiny", model)
    assert same(load("somebody/tiny", download=True), load(model))


@pytest.mark.parametrize(
    ("files", "variant"),
    [
        (["unet/a.safetensors", "vae/a.safetensors", "all.safetensors"], None),
        (["unet/a.safetensors", "unet/a.fp16.safetensors", "vae/a.safetensors"], None),
        (["unet/a.fp16.safetensors", "vae/a.safetensors"], "fp16"),
    ],
)
def test_what_a_download_asks_for(
    model: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], variant: str | None
) -> None:
    from huggingface_hub import HfApi

    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(model)

    monkeypatch.setattr(HfApi, "list_repo_files", lambda self, name: files)
    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", download)
    assert same(load("somebody/tiny", download=True), load(model))
    assert asked == {"name": "somebody/tiny", "use_safetensors": True, "variant": variant}


# ----------------------------------------------------------------------------------------------------- what is refused


class Trap:
    """A pickle that leaves a file behind when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickles(model: Path, tmp_path: Path) -> None:
    (model / UNET).unlink()
    torch.save({"conv_in.weight": Trap(tmp_path / "sprung")}, model / "unet/diffusion_pytorch_model.bin")
    refused(model, r"unet are pickled \(diffusion_pytorch_model.bin\), and ESG never executes pickles")
    torch.save(Trap(tmp_path / "sprung"), tmp_path / "model.ckpt")
    refused(tmp_path / "model.ckpt", r"not a .safetensors file, and ESG never executes pickles")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("entry", "part", "file"),
    [
        ("unet", ["evil", "UNet2DConditionModel"], "unet/evil.py"),
        ("unet", ["diffusers", "UNet2DConditionModel"], "unet/diffusers.py"),
        ("_class_name", ["evil", "StableDiffusionInpaintPipeline"], "evil.py"),
    ],
)
def test_code_that_comes_with_a_model(model: Path, tmp_path: Path, entry: str, part: list[str], file: str) -> None:
    index = json.loads((model / "model_index.json").read_text())
    (model / "model_index.json").write_text(json.dumps(index | {entry: part}))
    (model / file).write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass UNet2DConditionModel: ...\n")
    refused(model, "needs custom code, which ESG does not run")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("file", [UNET, "text_encoder/model.safetensors"])
def test_weights_of_which_some_are_missing(model: Path, file: str) -> None:
    tensors = load_file(model / file)
    lost = sorted(tensors)[3]
    del tensors[lost]
    save_file(tensors, model / file)
    by_itself = "cannot be loaded as an inpainting model"  # which older versions of diffusers see
    refused(model, f"{Path(file).parent} lack 1 that this version of .* expects, such as {lost}|{by_itself}")


def test_folders_that_hold_something_else(model: Path, tmp_path: Path) -> None:
    (model / "vae/diffusion_pytorch_model.safetensors").unlink()
    refused(model, "vae does not contain weights; get the files")
    shutil.rmtree(model / "vae")
    refused(model, "lacks the part vae")
    index = json.loads((model / "model_index.json").read_text())
    (model / "model_index.json").write_text(json.dumps(index | {"_class_name": "MarigoldDepthPipeline", "vae": None}))
    refused(model, "cannot be loaded as an inpainting model")
    for damaged in ("{", "[]"):
        (model / "model_index.json").write_text(damaged)
        refused(model, "model_index.json is damaged")
    refused(tmp_path, "is not a diffusers model, because model_index.json is missing")


def test_without_diffusers(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(EsgError, match="pip install diffusers accelerate"):
        load(model)


# -------------------------------------------------------------------------------------------------------- single files


@pytest.fixture
def single(model: Path, tmp_path: Path, write_single_file: Callable[[Path, Path], None]) -> Path:
    """The same as one file."""
    write_single_file(model, tmp_path / "single.safetensors")
    return tmp_path / "single.safetensors"


def test_a_single_file(
    single: Path, model: Path, cache: Callable[[str, Path], Path], no_network: list[str], tmp_path: Path
) -> None:
    refused(single, rf"that of {PARENT} \(a few MB\), is not on this machine: .*; pass download=True to download it")
    configs = shutil.copytree(model, tmp_path / "configs", ignore=shutil.ignore_patterns("*.safetensors"))
    cache(PARENT, configs)
    assert same(load(single), load(model))
    assert not no_network


def test_the_configuration_of_a_single_file_is_downloaded_on_demand(
    single: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[Any] = []

    def download(name: str, allow_patterns: list[str]) -> str:
        asked.append(name)
        assert not any(pattern.endswith(("*", "safetensors", "bin")) for pattern in allow_patterns)
        return str(model)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert same(load(single, download=True), load(model))
    assert asked == [PARENT]


@pytest.mark.parametrize(
    "lost",
    [
        "model.diffusion_model.input_blocks.1.0.in_layers.2.weight",
        "cond_stage_model.transformer.text_model.final_layer_norm.weight",
    ],
)
def test_a_single_file_of_which_something_is_missing(
    single: Path, model: Path, cache: Callable[[str, Path], Path], lost: str
) -> None:
    pytest.importorskip("accelerate", reason="without accelerate diffusers does not tell")
    cache(PARENT, model)
    tensors = load_file(single)
    del tensors[lost]
    save_file(tensors, single)
    refused(single, f"{single} (lacks the weights of its part|cannot be loaded as an inpainting model)")


def test_a_file_that_is_not_a_model_is_refused(model: Path, cache: Callable[[str, Path], Path], tmp_path: Path) -> None:
    cache("stable-diffusion-v1-5/stable-diffusion-v1-5", model)
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    refused(tmp_path / "other.safetensors", "cannot be loaded as an inpainting model")
    (tmp_path / "damaged.safetensors").write_bytes(b"nothing")
    refused(tmp_path / "damaged.safetensors", "damaged.safetensors is neither")
