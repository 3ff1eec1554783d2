"""Converts the published checkpoints to our weight names, and loads weights strictly."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from ...support.errors import Advice, WeightsError
from ...support.weight_files import check_finite
from ..meta_init import Unfilled
from .config import PRESETS, CropFormerConfig
from .model import CropFormer

_ATTENTION = r"(in_proj_weight|in_proj_bias|out_proj\.weight|out_proj\.bias)"
_PIXEL = r"sem_seg_head\.pixel_decoder\."
_QUERY = r"sem_seg_head\.predictor\."

RENAMES: tuple[tuple[str, str], ...] = (
    # Swin
    (r"backbone\.patch_embed\.proj\.", r"backbone.patch_embed."),
    (r"backbone\.patch_embed\.norm\.", r"backbone.patch_norm."),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.norm([12])\.", r"backbone.stages.\1.blocks.\2.norm\3."),
    (
        r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.attn\.relative_position_bias_table",
        r"backbone.stages.\1.blocks.\2.attention.bias_table",
    ),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.attn\.(qkv|proj)\.", r"backbone.stages.\1.blocks.\2.attention.\3."),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc1\.", r"backbone.stages.\1.blocks.\2.mlp.0."),
    (r"backbone\.layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc2\.", r"backbone.stages.\1.blocks.\2.mlp.2."),
    (r"backbone\.layers\.(\d+)\.downsample\.", r"backbone.mergings.\1."),
    # HorNet
    (r"backbone\.downsample_layers\.", r"backbone.downsamples."),
    (r"backbone\.stages\.(\d+)\.(\d+)\.(gamma[12]|norm[12].*)", r"backbone.stages.\1.\2.\3"),
    (r"backbone\.stages\.(\d+)\.(\d+)\.gnconv\.(proj_in|proj_out)\.", r"backbone.stages.\1.\2.mixer.\3."),
    (r"backbone\.stages\.(\d+)\.(\d+)\.gnconv\.pws\.", r"backbone.stages.\1.\2.mixer.pointwise."),
    (r"backbone\.stages\.(\d+)\.(\d+)\.gnconv\.dwconv\.dw\.", r"backbone.stages.\1.\2.mixer.depthwise.local."),
    (r"backbone\.stages\.(\d+)\.(\d+)\.gnconv\.dwconv\.", r"backbone.stages.\1.\2.mixer.depthwise."),
    (r"backbone\.stages\.(\d+)\.(\d+)\.pwconv1\.", r"backbone.stages.\1.\2.mlp.0."),
    (r"backbone\.stages\.(\d+)\.(\d+)\.pwconv2\.", r"backbone.stages.\1.\2.mlp.2."),
    # Swin and HorNet
    (r"backbone\.norm(\d)\.", r"backbone.norms.\1."),
    # ResNet; its stages are called res2 … res5 in published files
    (r"backbone\.stem\.conv1\.norm\.", r"backbone.stem.norm."),
    (r"backbone\.stem\.conv1\.", r"backbone.stem.conv."),
    *(
        rule
        for stage in range(4)
        for rule in (
            (rf"backbone\.res{stage + 2}\.(\d+)\.(shortcut|conv\d)\.norm\.", rf"backbone.stages.{stage}.\1.\2.norm."),
            (rf"backbone\.res{stage + 2}\.(\d+)\.(shortcut|conv\d)\.", rf"backbone.stages.{stage}.\1.\2.conv."),
        )
    ),
    # Pixel decoder
    (_PIXEL + r"input_proj\.", r"pixel_decoder.input_projs."),
    (_PIXEL + r"transformer\.level_embed", r"pixel_decoder.level_embed"),
    (
        _PIXEL + r"transformer\.encoder\.layers\.(\d+)\.self_attn\.sampling_offsets\.",
        r"pixel_decoder.layers.\1.attention.offsets.",
    ),
    (
        _PIXEL + r"transformer\.encoder\.layers\.(\d+)\.self_attn\.attention_weights\.",
        r"pixel_decoder.layers.\1.attention.weights.",
    ),
    (
        _PIXEL + r"transformer\.encoder\.layers\.(\d+)\.self_attn\.(value|output)_proj\.",
        r"pixel_decoder.layers.\1.attention.\2.",
    ),
    (_PIXEL + r"transformer\.encoder\.layers\.(\d+)\.(norm[12]|linear[12])\.", r"pixel_decoder.layers.\1.\2."),
    (_PIXEL + r"adapter_1\.norm\.", r"pixel_decoder.lateral.norm."),
    (_PIXEL + r"adapter_1\.", r"pixel_decoder.lateral.conv."),
    (_PIXEL + r"layer_1\.norm\.", r"pixel_decoder.smooth.norm."),
    (_PIXEL + r"layer_1\.", r"pixel_decoder.smooth.conv."),
    (_PIXEL + r"mask_features\.", r"pixel_decoder.mask_features."),
    # Decoder
    (
        _QUERY + r"transformer_cross_attention_layers\.(\d+)\.multihead_attn\." + _ATTENTION,
        r"decoder.layers.\1.cross_attention.\2",
    ),
    (_QUERY + r"transformer_cross_attention_layers\.(\d+)\.norm\.", r"decoder.layers.\1.cross_norm."),
    (
        _QUERY + r"transformer_self_attention_layers\.(\d+)\.self_attn\." + _ATTENTION,
        r"decoder.layers.\1.self_attention.\2",
    ),
    (_QUERY + r"transformer_self_attention_layers\.(\d+)\.norm\.", r"decoder.layers.\1.self_norm."),
    (_QUERY + r"transformer_ffn_layers\.(\d+)\.norm\.", r"decoder.layers.\1.ffn_norm."),
    (_QUERY + r"transformer_ffn_layers\.(\d+)\.(linear[12])\.", r"decoder.layers.\1.\2."),
    (_QUERY + r"decoder_norm\.", r"decoder.norm."),
    (_QUERY + r"query_feat\.weight", r"decoder.query_features"),
    (_QUERY + r"query_embed\.weight", r"decoder.query_positions"),
    (_QUERY + r"level_embed\.weight", r"decoder.level_embed"),
    (_QUERY + r"class_embed\.", r"decoder.class_head."),
    *((_QUERY + rf"mask_embed\.layers\.{i}\.", rf"decoder.mask_head.{2 * i}.") for i in range(3)),
    # View association
    (_QUERY + r"make_3d\.enc_crosattn_3d\.0\.multihead_attn\." + _ATTENTION, r"association.cross_attention.\1"),
    (_QUERY + r"make_3d\.enc_crosattn_3d\.0\.norm\.", r"association.cross_norm."),
    (_QUERY + r"make_3d\.enc_selfattn_3d\.0\.self_attn\." + _ATTENTION, r"association.self_attention.\1"),
    (_QUERY + r"make_3d\.enc_selfattn_3d\.0\.norm\.", r"association.self_norm."),
    (_QUERY + r"make_3d\.enc_ffn_3d\.0\.norm\.", r"association.ffn_norm."),
    (_QUERY + r"make_3d\.enc_ffn_3d\.0\.(linear[12])\.", r"association.\1."),
)
"""(pattern that matches the beginning of a published key, our replacement for it); the first match wins."""

DROPPED = re.compile(
    r"criterion(_2d|_3d)?\.empty_weight"  # class weights of the loss
    r"|pixel_(mean|std)"  # constants of ours (views.py)
    r"|backbone\.layers\.\d+\.blocks\.\d+\.attn\.(relative_position_index|attn_mask)"  # computed from the window size
    r"|backbone\..*num_batches_tracked"
)
"""Published keys that are not needed and are dropped on purpose."""

_RULES = [(re.compile(pattern), replacement) for pattern, replacement in RENAMES]


def our_name(official: str) -> str | None:
    """Our name for a published key; None if the key is unknown or dropped."""
    if DROPPED.fullmatch(official):
        return None
    for pattern, replacement in _RULES:
        match = pattern.match(official)
        if match:
            return match.expand(replacement) + official[match.end() :]
    return None


def is_official(keys: Iterable[str]) -> bool:
    """Whether the keys of a state dict are published names."""
    return any(key.startswith("sem_seg_head.") for key in keys)


def convert(official: Mapping[str, Tensor], source: str = "This checkpoint") -> dict[str, Tensor]:
    """Converts a published state dict to our names.

    Raises:
        WeightsError: some keys do not belong to any published model; the message names `source`, the first few keys,
            and the preset that is nearest to the others.
    """
    named = ((our_name(key), value) for key, value in official.items())
    ours = {name: value for name, value in named if name is not None}
    unknown = [key for key in official if not DROPPED.fullmatch(key) and our_name(key) is None]
    if unknown:
        nearest = _nearest(ours)
        raise WeightsError(
            f"{source} has {_some(unknown)} that no CropFormer or Mask2Former has"
            f"{f' (the nearest is {nearest})' if nearest else ''}; use a published EntitySeg file."
        )
    return ours


def fitting_presets(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the presets whose tensors have exactly the names and shapes of `state` (our names)."""
    shapes = _shapes(state)
    return [name for name, preset in PRESETS.items() if _expected(preset.config) == shapes]


def preset_of(state: Mapping[str, Tensor], source: str) -> str:
    """Name of the preset that `state` (our names) fits.

    Raises:
        WeightsError: it does not fit any; the message names the nearest preset and how they differ.
    """
    fits = fitting_presets(state)
    if fits:
        return fits[0]
    nearest = _nearest(state)
    if nearest is None:
        raise WeightsError(
            f"{source} does not fit any CropFormer or Mask2Former: it has {_some(list(state))}.", Advice.WEIGHTS
        )
    what = _differences(_expected(PRESETS[nearest].config), _shapes(state))
    raise WeightsError(
        f"{source} does not fit any CropFormer or Mask2Former; the nearest is {nearest}, but this file {what}."
    )


def _nearest(state: Mapping[str, Tensor]) -> str | None:
    """The preset that shares the most tensors with `state` (same name and shape, our names); None if none are shared.

    Among equals, the one with the fewest other tensors.
    """
    given = _shapes(state).items()
    expected = {name: _expected(preset.config).items() for name, preset in PRESETS.items()}
    nearest = max(expected, key=lambda name: (len(given & expected[name]), -len(expected[name])))
    return nearest if given & expected[nearest] else None


def load_strict(model: CropFormer, state: Mapping[str, Tensor], source: str) -> None:
    """Loads `state` (our names) into `model`; names and shapes must match exactly.

    Raises:
        WeightsError: names or shapes differ; the message names the first few and the presets that would fit. Or a
            weight is NaN or infinite.
    """
    own, given = _shapes(model.state_dict()), _shapes(state)
    if own != given:
        fits = fitting_presets(state)
        hint = f"it fits the preset {' or '.join(fits)}" if fits else "it does not fit any preset"
        raise WeightsError(f"{source} does not fit this model: it {_differences(own, given)}; {hint}.")
    floats = {key: value.float() for key, value in state.items()}
    check_finite(floats, source)
    # assign=True: a model on the meta device takes these tensors without copying them.
    model.load_state_dict(floats, strict=True, assign=True)


@functools.cache
def _expected(config: CropFormerConfig) -> dict[str, tuple[int, ...]]:
    with Unfilled():
        model = CropFormer(config)
    return _shapes(model.state_dict())


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


def _differences(own: dict[str, tuple[int, ...]], given: dict[str, tuple[int, ...]]) -> str:
    missing = [key for key in own if key not in given]
    extra = [key for key in given if key not in own]
    shaped = [f"{key} {given[key]} instead of {own[key]}" for key in own if key in given and own[key] != given[key]]
    problems = (("lacks", missing), ("has unknown", extra), ("differs in", shaped))
    return "; ".join(f"{verb} {_some(keys)}" for verb, keys in problems if keys)


def _some(keys: list[str], limit: int = 3) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return ", ".join(keys[:limit]) + more
