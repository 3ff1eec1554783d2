from __future__ import annotations

import json
import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from esg.models.normalisation import normalised
from esg.models.zeroshot.clip import ClipModel
from esg.support.errors import WeightsError

CPU, FP32 = torch.device("cpu"), torch.float32
SIDE, PATCH, WIDTH = 16, 4, 24


@pytest.fixture(scope="module")
def clip(clip_folder: Path) -> ClipModel:
    return ClipModel.from_folder(clip_folder, CPU, FP32)


@pytest.fixture(scope="module")
def state(clip_folder: Path) -> dict[str, Tensor]:
    return load_file(clip_folder / "model.safetensors")


@pytest.fixture
def copy(clip_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clip_folder, tmp_path / "clip"))


def pictures(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(1).integers(0, 255, (count, SIDE, SIDE, 3), np.uint8))


def linear(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return F.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))


def norm(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])


def vision(state: dict[str, Tensor], pixels: Tensor, positions: Tensor, *, alone: bool) -> Tensor:
    """CLIP's vision encoder written out → (1 + patches, WIDTH); alone: in the last layer each token hears itself."""
    patches = F.conv2d(pixels, state["vision_model.embeddings.patch_embedding.weight"], stride=PATCH)
    x = torch.cat((state["vision_model.embeddings.class_embedding"][None], patches[0].flatten(1).T)) + positions
    x = norm(state, "vision_model.pre_layrnorm", x)
    for index in range(3):
        layer = f"vision_model.encoder.layers.{index}"
        heard = norm(state, f"{layer}.layer_norm1", x)
        q, k, v = (linear(state, f"{layer}.self_attn.{one}_proj", heard).unflatten(1, (2, -1)).mT.mT for one in "qkv")
        q, k, v = (one.transpose(0, 1) for one in (q, k, v))
        apart = torch.eye(len(x), dtype=torch.bool) if alone and index == 2 else None
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=apart).transpose(0, 1).flatten(1)
        x = x + linear(state, f"{layer}.self_attn.out_proj", out)
        inner = linear(state, f"{layer}.mlp.fc1", norm(state, f"{layer}.layer_norm2", x))
        x = x + linear(state, f"{layer}.mlp.fc2", inner * torch.sigmoid(1.702 * inner))
    embedded = linear(state, "visual_projection", norm(state, "vision_model.post_layernorm", x))
    return F.normalize(embedded, dim=-1)


def prepared(picture: np.ndarray) -> Tensor:
    return normalised(torch.from_numpy(picture).permute(2, 0, 1)[None])


def test_patches_hear_themselves_alone_in_the_last_layer(clip: ClipModel, state: dict[str, Tensor]) -> None:
    (picture,) = pictures(1)
    positions = state["vision_model.embeddings.position_embedding.weight"]
    expected = vision(state, prepared(picture), positions, alone=True)[1:]
    found = clip.patches(picture)
    assert found.shape == (4, 4, WIDTH)
    assert torch.allclose(found.flatten(0, 1), expected, atol=1e-5)
    heard = vision(state, prepared(picture), positions, alone=False)[1:]
    assert not torch.allclose(expected, heard, atol=1e-2)


@pytest.mark.parametrize(
    ("size", "grid"), [((30, 50), (4, 7)), ((50, 30), (7, 4)), ((8, 8), (4, 4)), ((10, 900), (4, 8)), ((1, 1), (4, 4))]
)
def test_patches_keep_the_shape_of_the_picture(clip: ClipModel, size: tuple[int, int], grid: tuple[int, int]) -> None:
    """Very long pictures are squeezed, so that patches stay of a bounded number."""
    found = clip.patches(np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8))
    assert found.shape == (*grid, WIDTH)
    assert torch.allclose(found.norm(dim=-1), torch.ones(grid), atol=1e-5)


def test_pictures_are_embedded_as_clip_does_however_many(clip: ClipModel, state: dict[str, Tensor]) -> None:
    given = pictures(35)
    positions = state["vision_model.embeddings.position_embedding.weight"]
    expected = [vision(state, prepared(picture), positions, alone=False)[0] for picture in given]
    assert torch.allclose(clip.pictures(iter(given)), torch.stack(expected), atol=1e-5)
    assert clip.pictures([]).shape == (0, WIDTH)


def test_only_some_pictures_are_held_at_once(clip: ClipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[int] = []
    real = clip._normalised
    monkeypatch.setattr(clip, "_normalised", lambda some: (shown.append(len(some)), real(some))[1])
    clip.pictures(picture for picture in pictures(35))
    assert shown == [16, 16, 3]


@pytest.mark.parametrize(
    ("limit", "tried"),
    [(16, [16, 16, 3]), (5, [16, 8, 4, 4, 4, 4, 4, 4, 4, 4, 3]), (1, [16, 8, 4, 2, *[1] * 35])],
)
def test_without_memory_for_so_many_fewer_go_together(
    clip: ClipModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, limit: int, tried: list[int]
) -> None:
    given, sentences = pictures(35), [[f"dog {number}"] for number in range(35)]
    expected = clip.pictures(given), clip.texts(sentences)
    sizes = short_of_memory(clip, monkeypatch, limit)
    with caplog.at_level(logging.WARNING, logger="esg"):
        found = clip.pictures(iter(given))
    assert sizes == tried
    assert ("continuing with" in caplog.text) == (limit < 16)
    assert torch.allclose(found, expected[0], atol=1e-5)
    sizes.clear()
    assert torch.allclose(clip.texts(sentences), expected[1], atol=1e-5)
    assert sizes == tried


def test_without_memory_for_one_it_fails_as_torch_does(clip: ClipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = short_of_memory(clip, monkeypatch, 0)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        clip.pictures(pictures(5))
    assert sizes == [5, 3, 2, 1]
    with pytest.raises(torch.cuda.OutOfMemoryError):
        clip.texts([["a dog"]])


def test_other_failures_are_not_tried_again(clip: ClipModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def broken(some: Any) -> Tensor:
        asked.append(len(some))
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(clip, "_normalised", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        clip.pictures(pictures(5))
    assert asked == [5]


def short_of_memory(clip: ClipModel, monkeypatch: pytest.MonkeyPatch, limit: int) -> list[int]:
    """Lets both encoders fail for more than so many at once; returns how many each call has."""
    sizes: list[int] = []

    def guarded(forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(**inputs: Tensor) -> Any:
            sizes.append(len(next(iter(inputs.values()))))
            if sizes[-1] > limit:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
            return forward(**inputs)

        return call

    for model in (clip.network.vision_model, clip.network.text_model):
        monkeypatch.setattr(model, "forward", guarded(model.forward))
    return sizes


def text(clip: ClipModel, sentence: str) -> Tensor:
    """As transformers' CLIP embeds it by itself."""
    tokens = clip._tokenizer([sentence], return_tensors="pt", truncation=True, max_length=77)
    with torch.no_grad():
        said = clip.network.text_model(**tokens).pooler_output
        return F.normalize(clip.network.text_projection(said)[0], dim=0)


def test_a_text_is_the_mean_of_its_sentences(clip: ClipModel) -> None:
    ensembles = [
        ["a dog"],
        ["a photo of the dog.", "dog", "a dog near the door"],
        ["x" * number for number in range(20)],
    ]
    found = clip.texts(ensembles)
    for own, sentences in zip(found, ensembles):
        expected = F.normalize(torch.stack([text(clip, sentence) for sentence in sentences]).mean(0), dim=0)
        assert torch.allclose(own, expected, atol=1e-5)


def test_long_texts_are_cut_off_and_any_text_will_do(clip: ClipModel) -> None:
    found = clip.texts([["dog " * 200], ["dog " * 300], [""], ["犬 <|endoftext|> \N{DOG FACE}"]])
    assert torch.allclose(found[0], found[1])
    assert torch.isfinite(found).all()


def test_scale_is_that_of_the_weights(clip: ClipModel, state: dict[str, Tensor]) -> None:
    assert clip.scale == pytest.approx(float(state["logit_scale"].exp()))
    assert clip.side == SIDE


def test_half_precision_is_near(clip: ClipModel, clip_folder: Path) -> None:
    half = ClipModel.from_folder(clip_folder, CPU, torch.bfloat16)
    (picture,) = pictures(1)
    for found, expected in (
        (half.patches(picture), clip.patches(picture)),
        (half.pictures([picture]), clip.pictures([picture])),
        (half.texts([["a dog"]]), clip.texts([["a dog"]])),
    ):
        assert found.dtype == torch.float32
        assert not torch.equal(found, expected)
        assert (found * expected).sum(-1).min() > 0.99


def test_a_pytorch_checkpoint_is_read_for_its_tensors(clip: ClipModel, copy: Path, state: dict[str, Tensor]) -> None:
    (copy / "model.safetensors").unlink()
    positions = {"text_model.embeddings.position_ids": torch.arange(77)[None]}  # as older files have
    torch.save({**state, **positions}, copy / "pytorch_model.bin")
    read = ClipModel.from_folder(copy, CPU, FP32)
    assert torch.equal(read.texts([["dog"]]), clip.texts([["dog"]]))


class Harmful:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return Path.touch, (Path("harm"),)


def test_a_pickle_is_not_run(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps({"logit_scale": Harmful()}, protocol=2))
    with pytest.raises(WeightsError):
        ClipModel.from_folder(copy, CPU, FP32)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("wrong", ["missing", "unknown", "shape"])
def test_all_weights_are_loaded_or_none(copy: Path, state: dict[str, Tensor], wrong: str) -> None:
    state = dict(state)
    if wrong == "missing":
        del state["text_projection.weight"]
    elif wrong == "unknown":
        state["text_projection.bias"] = torch.zeros(WIDTH)
    else:
        state["text_projection.weight"] = torch.zeros(WIDTH, 2)
    save_file(state, copy / "model.safetensors")
    with pytest.raises(WeightsError, match=r"1 weights are missing, .*, such as text_projection\.(weight|bias)\."):
        ClipModel.from_folder(copy, CPU, FP32)


def test_folders_that_hold_no_clip_model_are_refused(copy: Path, llava_folder: Path) -> None:
    with pytest.raises(WeightsError, match="of type llava; choose a CLIP model"):
        ClipModel.from_folder(llava_folder, CPU, FP32)
    config = json.loads((copy / "config.json").read_text())
    for damaged in ("{", "[]", "{}", json.dumps({**config, "vision_config": 3})):
        (copy / "config.json").write_text(damaged)
        with pytest.raises(WeightsError, match="damaged"):
            ClipModel.from_folder(copy, CPU, FP32)
    (copy / "vocab.json").unlink()
    with pytest.raises(WeightsError, match=r"lacks tokenizer\.json"):
        ClipModel.from_folder(copy, CPU, FP32)


@pytest.mark.gpu
def test_it_moves_to_a_gpu_and_back(clip_folder: Path) -> None:
    clip = ClipModel.from_folder(clip_folder, CPU, FP32)
    (picture,) = pictures(1)
    expected = clip.patches(picture)
    clip.to(torch.device("cuda"))
    assert torch.allclose(clip.patches(picture).cpu(), expected, atol=1e-3)
    clip.to(CPU)
    assert torch.equal(clip.patches(picture), expected)
