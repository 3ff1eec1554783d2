"""Configurations of GELLA, and their translation for transformers."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from esg.models.gella.colormap import COLOURS
from esg.models.gella.colormap_encoder import ENCODERS
from esg.models.gella.config import PRESETS, DecoderConfig, GellaConfig, LanguageConfig, VisionConfig
from esg.models.gella.resoblend import BlendConfig
from esg.support.errors import InputError, WeightsError


@pytest.mark.parametrize(
    "config",
    [
        *PRESETS.values(),
        GellaConfig(blend=BlendConfig(skip=False), encoder="swin-tiny", colours="location", colormap_side=1024),
        GellaConfig(projection="linear", association_layers=2, gap=0.0, mends=False, encoder="swin-large"),
    ],
)
def test_json_and_back(config: GellaConfig) -> None:
    assert GellaConfig.from_json(config.to_json()) == config


def test_a_file_that_says_nothing_of_capitals_is_of_a_model_that_knows_them() -> None:
    content = json.loads(PRESETS["gella-7b"].to_json())
    del content["language"]["cased"]
    assert GellaConfig.from_json(json.dumps(content)) == PRESETS["gella-7b"]
    assert not PRESETS["gella-nano"].language.cased


def changed(**fields: Any) -> str:
    return json.dumps({**json.loads(GellaConfig().to_json()), **fields})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not describe a GELLA model"),
        ("[]", "not describe a GELLA model"),
        ("3", "not describe a GELLA model"),
        ('{"vision": {}}', "language"),
        (changed(vision=5), "not describe a GELLA model"),
        (changed(vision={"depth": 1}), "depth"),
        (changed(depth=1), "depth"),
        (changed(encoder="resnet"), "'resnet'; choose one of mobilenet-v2, swin-tiny"),
        (changed(encoder=[]), "not describe a GELLA model"),
        (changed(colormap_side="big"), "not describe a GELLA model"),
    ],
)
def test_other_texts_are_refused_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(WeightsError) as raised:
        GellaConfig.from_json(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(InputError, match=f"assignment 'rainbow'; choose one of {', '.join(COLOURS)}"):
        GellaConfig(colours="rainbow")
    with pytest.raises(InputError, match=f"encoder 'vgg'; choose one of {', '.join(ENCODERS)}"):
        GellaConfig(encoder="vgg")


@pytest.mark.parametrize("side", [0, 16, 100, -32])
def test_a_colormap_of_an_odd_side_is_refused(side: int) -> None:
    with pytest.raises(InputError, match=f"multiple of 16 and at least 32, not {side}"):
        GellaConfig(colormap_side=side)


def test_a_colormap_may_be_as_large_as_the_image() -> None:
    """Sec. 4.2 of the paper: h, w in {224, 336} for both."""
    for side in (224, 336):
        assert GellaConfig(vision=VisionConfig(side=side), colormap_side=side).colormap_side == side


def test_a_file_of_an_earlier_version_keeps_its_meaning() -> None:
    content = json.loads(PRESETS["gella-nano"].to_json())
    for name in ("gap", "projection", "association_layers", "mends"):
        del content[name]
    assert GellaConfig.from_json(json.dumps(content)) == PRESETS["gella-nano"]


@pytest.mark.parametrize(
    ("kind", "numbers", "words"),
    [
        (VisionConfig, {"layers": 0}, "layers of vision is 0, but must be at least 1"),
        (VisionConfig, {"width": 100}, "width of vision, 100, must be a multiple of its 16 heads"),
        (VisionConfig, {"side": 13}, "side of vision is 13, but must be at least its patch, 14"),
        (LanguageConfig, {"pad_token": -1}, "pad_token of language is -1, but must be at least 0"),
        (LanguageConfig, {"seg_token": 32064}, "tokens of language must be below the size of its vocabulary, 32064"),
        (LanguageConfig, {"width": 96}, "width of language, 96, must be an even number for each of its heads"),
        (DecoderConfig, {"anchors": 0}, "anchors of decoder is 0, but must be at least 1"),
        (DecoderConfig, {"width": 80}, "width of decoder must be a multiple of 32, not 80"),
        (
            GellaConfig,
            {"vision": VisionConfig(side=896)},
            "takes 4096 tokens, but the context of language has only 4096",
        ),
        (GellaConfig, {"association": 0}, "association of the model is 0, but must be above 0"),
        (GellaConfig, {"association_layers": 3}, "association_layers of the model is 3, but must be 1 or 2"),
        (GellaConfig, {"gap": -0.1}, "gap of the model is -0.1, but must be from 0 to 1"),
        (GellaConfig, {"projection": "none"}, "Unknown projection 'none'; choose one of mlp, linear"),
        (GellaConfig, {"drafts": 0}, "drafts of the model is 0"),
        (GellaConfig, {"encoder_scale": float("nan")}, "encoder_scale of the model is nan"),
        (GellaConfig, {"encoder_scale": float("inf")}, "encoder_scale of the model is inf"),
    ],
)
def test_sizes_that_cannot_be_are_one_sentence(kind: Any, numbers: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        kind(**numbers)


def test_grids_are_those_of_clip() -> None:
    vision = PRESETS["gella-7b"].vision
    assert vision.grid == 24
    assert dataclasses.replace(vision, side=224).grid == 16
    assert PRESETS["gella-nano"].vision.grid == 16


@pytest.mark.parametrize("name", PRESETS)
def test_special_tokens_are_different_and_in_the_vocabulary(name: str) -> None:
    said = PRESETS[name].language
    special = {said.image_token, said.pad_token, said.seg_token, said.begin_token, said.end_token}
    assert len(special) == 5
    assert max(special) < said.vocabulary


def test_llava_gets_every_size() -> None:
    config = PRESETS["gella-7b"]
    llava = config.llava()
    seen, said = llava.vision_config, llava.text_config
    assert (seen.hidden_size, seen.intermediate_size, seen.num_hidden_layers, seen.num_attention_heads) == (
        config.vision.width,
        config.vision.ffn,
        config.vision.layers,
        config.vision.heads,
    )
    assert (seen.image_size, seen.patch_size) == (config.vision.side, config.vision.patch)
    assert (said.hidden_size, said.intermediate_size, said.num_hidden_layers, said.num_attention_heads) == (
        config.language.width,
        config.language.ffn,
        config.language.layers,
        config.language.heads,
    )
    assert (said.vocab_size, said.max_position_embeddings) == (config.language.vocabulary, config.language.context)
    assert said.num_key_value_heads == config.language.heads
    assert (said.pad_token_id, said.bos_token_id, said.eos_token_id) == (
        config.language.pad_token,
        config.language.begin_token,
        config.language.end_token,
    )
    assert llava.image_token_index == config.language.image_token


def test_the_language_model_is_that_of_llava_7b() -> None:
    """As in the public configuration of llava-hf/llava-1.5-7b-hf."""
    llava = PRESETS["gella-7b"].llava()
    assert (llava.image_token_index, llava.vision_feature_layer) == (32000, -2)
    assert (llava.vision_feature_select_strategy, llava.projector_hidden_act) == ("default", "gelu")
    assert (llava.text_config.vocab_size, llava.text_config.pad_token_id) == (32064, 32001)
    assert (llava.text_config.max_position_embeddings, llava.text_config.rms_norm_eps) == (4096, 1e-5)
    assert (llava.vision_config.hidden_act, llava.vision_config.layer_norm_eps) == ("quick_gelu", 1e-5)
