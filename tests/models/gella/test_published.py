"""Starting from published weights: folders as transformers writes them, and unsuitable folders."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer

from esg.models.gella.colormap_encoder import ENCODERS, MobileNetV2
from esg.models.gella.config import GellaConfig
from esg.models.gella.language import Language, our_key
from esg.models.gella.published import load_clip_vision, load_encoder, load_mobilenet, read_llava, read_llava_tokenizer
from esg.support.errors import WeightsError


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, language: Language) -> Path:
    """A tiny LLaVA as `save_pretrained` writes it: in several files, with an index."""
    folder = tmp_path_factory.mktemp("published") / "llava"
    language.llava.save_pretrained(folder, max_shard_size="60KB", safe_serialization=True)
    assert (folder / "model.safetensors.index.json").is_file()
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """A copy of it to be spoilt."""
    return Path(shutil.copytree(published, tmp_path / "llava"))


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    state, theirs = one.state_dict(), other.state_dict()
    return state.keys() == theirs.keys() and all(torch.equal(state[name], theirs[name]) for name in state)


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Changes the first file of weights."""
    path = min(folder.glob("*.safetensors"))
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path, {"format": "pt"})


def test_all_weights_come_from_the_folder(published: Path, language: Language, tiny_config: GellaConfig) -> None:
    torch.manual_seed(9)
    read = read_llava(tiny_config, published)
    assert same(read, language)
    assert not any(value.is_meta for value in (*read.parameters(), *read.buffers()))
    assert {value.dtype for value in read.parameters()} == {torch.float32}
    pixels, text = torch.rand(1, 3, 16, 16), torch.tensor([1, 3, 7, 4, 2])
    with torch.no_grad():
        ours, theirs = (one.read(one.see(pixels).tokens, [text]).hidden for one in (read.eval(), language))
    assert torch.equal(ours, theirs)
    frozen = {name for name, value in read.named_parameters() if not value.requires_grad}
    assert frozen == {name for name, value in language.named_parameters() if not value.requires_grad}


def test_one_file_of_half_precision_does_as_well(tmp_path: Path, language: Language, tiny_config: GellaConfig) -> None:
    torch.manual_seed(0)
    half = Language(tiny_config).half()
    half.llava.save_pretrained(tmp_path, safe_serialization=True)
    assert [path.name for path in tmp_path.glob("*.safetensors*")] == ["model.safetensors"]
    state = read_llava(tiny_config, tmp_path).state_dict()
    assert all(torch.equal(state[name], value.float()) for name, value in half.state_dict().items())


@pytest.mark.parametrize("side", [8, 24])
def test_the_square_that_is_seen_may_have_another_side(
    published: Path, language: Language, tiny_config: GellaConfig, side: int
) -> None:
    """As in Table XV (a) of the paper: 224 pixels instead of 336."""
    config = dataclasses.replace(tiny_config, vision=dataclasses.replace(tiny_config.vision, side=side))
    read = read_llava(config, published).eval()
    given, found = ({our_key(k): v for k, v in one.llava.state_dict().items()} for one in (language, read))
    positions = "vision.embeddings.position_embedding.weight"
    patches = (side // 4) ** 2
    assert found[positions].shape == (1 + patches, 32)
    assert torch.equal(found[positions][0], given[positions][0])
    assert all(torch.equal(value, given[name]) for name, value in found.items() if name != positions)
    with torch.no_grad():
        assert read.see(torch.rand(1, 3, side, side)).tokens.shape == (1, patches, 48)


@pytest.mark.parametrize(
    ("vision", "projector", "decoder", "head"),
    [
        ("vision_tower.vision_model.", "multi_modal_projector.", "language_model.model.", "language_model.lm_head."),
        ("model.vision_tower.vision_model.", "model.multi_modal_projector.", "model.language_model.", "lm_head."),
        ("model.vision_tower.", "model.multi_modal_projector.", "model.language_model.", "lm_head."),
    ],
    ids=["4.50", "4.52", "5.23"],
)
def test_names_of_any_version_will_do(
    tmp_path: Path,
    published: Path,
    language: Language,
    tiny_config: GellaConfig,
    vision: str,
    projector: str,
    decoder: str,
    head: str,
) -> None:
    theirs = {"vision": vision, "projector": projector, "decoder": decoder, "head": head}
    state = {our_key(name): value for name, value in language.llava.state_dict().items()}
    named = {theirs[name.split(".")[0]] + name.split(".", 1)[1]: value.contiguous() for name, value in state.items()}
    save_file(named, tmp_path / "model.safetensors")
    shutil.copy(published / "config.json", tmp_path)
    assert same(read_llava(tiny_config, tmp_path), language)


def test_tables_of_old_versions_are_passed_over(folder: Path, language: Language, tiny_config: GellaConfig) -> None:
    name = "language_model.model.layers.0.self_attn.rotary_emb.inv_freq"
    change(folder, lambda tensors: tensors.update({name: torch.zeros(8)}))
    assert same(read_llava(tiny_config, folder), language)


def test_a_linear_projection_starts_from_scratch_and_the_rest_from_the_folder(
    published: Path, language: Language, tiny_config: GellaConfig
) -> None:
    read = read_llava(dataclasses.replace(tiny_config, projection="linear"), published)
    given, found = ({our_key(k): v for k, v in one.llava.state_dict().items()} for one in (language, read))
    own = {"projector.weight", "projector.bias"}
    assert found.keys() - given.keys() == own
    assert all(torch.equal(value, given[name]) for name, value in found.items() if name not in own)
    assert not any(value.is_meta for value in found.values())
    assert found["projector.weight"].std() > 0.01


# ----------------------------------------------------------------------------------------------- CLIP at another side


def test_the_vision_encoder_starts_from_a_clip_of_its_own_side(
    published: Path, tiny_config: GellaConfig, tmp_path: Path
) -> None:
    """OpenAI's own weights for 224 pixels (Table XV a), whose positions need no resampling."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig

    torch.manual_seed(3)
    seen = dataclasses.replace(tiny_config, vision=dataclasses.replace(tiny_config.vision, side=24))
    vision = seen.llava().vision_config
    small = CLIPTextConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    clip = CLIPModel(CLIPConfig(text_config=small.to_dict(), vision_config=vision.to_dict()))
    clip.save_pretrained(tmp_path, safe_serialization=True)
    language = read_llava(seen, published)
    before = {our_key(name): value.clone() for name, value in language.llava.state_dict().items()}
    load_clip_vision(language, tmp_path)
    after = {our_key(name): value for name, value in language.llava.state_dict().items()}
    theirs = {"vision." + name.removeprefix("vision_model."): value for name, value in clip.state_dict().items()}
    for name, value in after.items():
        assert torch.equal(value, theirs[name] if name.startswith("vision.") else before[name]), name
    with pytest.raises(WeightsError, match="of type 'llava' instead of 'clip'; get a CLIP"):
        load_clip_vision(language, published)


# ----------------------------------------------------------------------------------------------- folders that do not do


def lose_a_weight(folder: Path) -> None:
    change(folder, lambda tensors: tensors.pop(min(tensors)))


def lose_a_file(folder: Path) -> None:
    max(folder.glob("*.safetensors")).unlink()


def lose_all_files(folder: Path) -> None:
    for path in folder.glob("*.safetensors*"):
        path.unlink()


def escape(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    index.write_text(json.dumps({**content, "weight_map": {"a": "../llava/" + min(folder.glob("*.safetensors")).name}}))


def other_kind(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llava_next"}')


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lose_a_weight, r"lacks (vision|projector|decoder|head)\.[\w.]+; get the folder llava-hf"),
        (lose_a_file, r"lacks model-0000.*\.safetensors; get those files"),
        (lose_all_files, "neither model.safetensors nor model.safetensors.index.json"),
        (escape, r"lacks \.\./llava/model-00001"),
        (other_kind, "of type 'llava_next' instead of 'llava'"),
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "config.json is not a JSON object"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("{}"), "does not list any files"),
        (lambda folder: change(folder, lambda t: t.update(extra=torch.zeros(1))), "weights that do not fit, extra;"),
        (lambda folder: min(folder.glob("*.safetensors")).write_bytes(b""), "is empty"),
        (shutil.rmtree, "The folder .* does not exist"),
    ],
)
def test_a_folder_that_does_not_do(
    folder: Path, tiny_config: GellaConfig, spoil: Callable[[Path], object], words: str
) -> None:
    spoil(folder)
    with pytest.raises(WeightsError, match=words) as caught:
        read_llava(tiny_config, folder)
    assert "\n" not in str(caught.value)


def test_a_position_table_that_is_not_square_is_refused(folder: Path, tiny_config: GellaConfig) -> None:
    for path in folder.glob("*.safetensors"):
        tensors = load_file(path)
        for name in tensors:
            if name.endswith("position_embedding.weight"):
                tensors[name] = tensors[name][:-1].clone()
        save_file(tensors, path, {"format": "pt"})
    with pytest.raises(WeightsError, match=r"position_embedding\.weight in .* is 16 × 32, but the model needs 17 × 32"):
        read_llava(tiny_config, folder)


def test_another_size_is_reported_with_its_shape(folder: Path, tiny_config: GellaConfig) -> None:
    larger = dataclasses.replace(tiny_config, language=dataclasses.replace(tiny_config.language, ffn=64))
    with pytest.raises(
        WeightsError,
        match=r"mlp\.\w+_proj\.weight in .* is (40 × 48, but the model needs 64|48 × 40, but the model needs 48) ×",
    ):
        read_llava(larger, folder)


# ------------------------------------------------------------------------------------------------------------ tokenizer


def test_the_tokenizer_is_that_of_the_folder(speaker: Any, tmp_path: Path) -> None:
    config, tokenizer = speaker
    without_seg = Tokenizer.from_str(tokenizer.to_str().replace("<SEG>", "<unused>"))
    size = tokenizer.get_vocab_size()
    free = dataclasses.replace(config.language, seg_token=size, vocabulary=size + 1)
    without_seg.save(str(tmp_path / "tokenizer.json"))
    read = read_llava_tokenizer(free, tmp_path)
    assert read.encode("a red disc").ids == tokenizer.encode("a red disc").ids
    with pytest.raises(WeightsError, match="token 4 is not free for <SEG>"):
        read_llava_tokenizer(config.language, tmp_path)
    with pytest.raises(WeightsError, match="token 7 is not <image>"):
        read_llava_tokenizer(dataclasses.replace(free, image_token=7), tmp_path)
    without_seg.add_special_tokens([AddedToken("<more>", special=True)])
    without_seg.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(WeightsError, match="not free for <SEG>"):
        read_llava_tokenizer(free, tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match=r"tokenizer\.json is damaged"):
        read_llava_tokenizer(free, tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"has no tokenizer\.json"):
        read_llava_tokenizer(free, tmp_path)


# ---------------------------------------------------------------------------------------------------------- MobileNetV2


@pytest.fixture
def imagenet(tmp_path: Path) -> tuple[Any, Path]:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    torch.manual_seed(0)
    model = MobileNetV2ForImageClassification(MobileNetV2Config(depth_multiplier=0.1, num_labels=3))
    model.save_pretrained(tmp_path / "mobilenet", safe_serialization=True)
    return model, tmp_path / "mobilenet"


def test_the_colormap_encoder_starts_from_a_classifier(imagenet: tuple[Any, Path]) -> None:
    model, folder = imagenet
    encoder = MobileNetV2(0.1)
    assert not same(encoder.net, model.mobilenet_v2)
    load_mobilenet(encoder, folder)
    assert same(encoder.net, model.mobilenet_v2)


def test_another_scale_or_kind_of_encoder_is_refused(imagenet: tuple[Any, Path], published: Path) -> None:
    encoder = MobileNetV2(0.25)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with pytest.raises(WeightsError, match=r"but the model needs .*; get the folder google/mobilenet_v2"):
        load_mobilenet(encoder, imagenet[1])
    with pytest.raises(WeightsError, match="of type 'llava' instead of 'mobilenet_v2'"):
        load_mobilenet(encoder, published)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


# ----------------------------------------------------------------------------------------------------------------- Swin


@pytest.mark.parametrize("name", ["swin-tiny", "swin-large"])
def test_a_swin_of_the_hub_computes_the_same_here(name: str, tmp_path: Path, published: Path) -> None:
    from transformers import SwinConfig, SwinForImageClassification

    encoder = ENCODERS[name](1 / 8).eval()
    heads, depths = ((6, 12, 24, 48), (2, 2, 18, 2)) if name == "swin-large" else ((3, 6, 12, 24), (2, 2, 6, 2))
    sizes = {"embed_dim": encoder.channels[0], "depths": depths, "num_heads": heads, "window_size": 7}
    torch.manual_seed(0)
    theirs = SwinForImageClassification(SwinConfig(image_size=256, num_labels=3, **sizes)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    theirs.save_pretrained(tmp_path / "swin", safe_serialization=True)
    load_encoder(encoder, tmp_path / "swin")
    pixels = torch.rand(1, 3, 256, 256) * 2 - 1
    with torch.no_grad():
        # Their features come before the next level is made, without the norms of the output levels.
        wanted = theirs.swin(pixels, output_hidden_states=True).reshaped_hidden_states[-1]
        ours = encoder(pixels)[-1]
        normed = torch.nn.functional.layer_norm(wanted.permute(0, 2, 3, 1), wanted.shape[1:2]).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours, normed, atol=1e-3, rtol=1e-3)
    with pytest.raises(WeightsError, match="of type 'llava' instead of 'swin'; get the folder microsoft/swin-tiny"):
        load_encoder(encoder, published)
