"""Single files of weights, as ComfyUI has them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

_UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_BLOCK = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
_VAE = {
    "mid_block.attentions.0": "mid.attn_1",
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


@pytest.fixture(scope="session")
def write_single_file() -> Callable[[Path, Path], None]:
    """Writes the weights of a folder of diffusers into one file, under the names that their authors gave them.

    It knows the `tiny_diffusion`: two levels with one block each, and an autoencoder of three levels.
    """
    from safetensors.torch import load_file, save_file

    def write(folder: Path, path: Path) -> None:
        tensors = {}
        for name, value in load_file(folder / "unet/diffusion_pytorch_model.safetensors").items():
            tensors["model.diffusion_model." + _of_unet(name)] = value
        for name, value in load_file(folder / "vae/diffusion_pytorch_model.safetensors").items():
            name = _of_autoencoder(name)
            convolved = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name)
            tensors["first_stage_model." + name] = value[..., None, None].contiguous() if convolved else value
        for name, value in load_file(folder / "text_encoder/model.safetensors").items():
            tensors["cond_stage_model.transformer.text_model." + name.removeprefix("text_model.")] = value
        save_file(tensors, path)

    return write


def _of_unet(name: str) -> str:
    layer, _, kind = name.rpartition(".")
    name = f"{_UNET.get(layer, layer)}.{kind}"
    name = re.sub(r"(resnets\.\d)\.(\w+)\.", lambda found: f"{found[1]}.{_BLOCK[found[2]]}.", name)
    for pattern, place in (
        (r"^down_blocks\.(\d)\.resnets\.(\d)", lambda i, j: f"input_blocks.{2 * i + j + 1}.0"),
        (r"^down_blocks\.(\d)\.attentions\.(\d)", lambda i, j: f"input_blocks.{2 * i + j + 1}.1"),
        (r"^down_blocks\.(\d)\.downsamplers\.(\d)\.conv", lambda i, j: f"input_blocks.{2 * i + 2}.0.op"),
        (r"^mid_block()\.resnets\.(\d)", lambda i, j: f"middle_block.{2 * j}"),
        (r"^mid_block()\.attentions\.(\d)", lambda i, j: "middle_block.1"),
        (r"^up_blocks\.(\d)\.resnets\.(\d)", lambda i, j: f"output_blocks.{2 * i + j}.0"),
        (r"^up_blocks\.(\d)\.attentions\.(\d)", lambda i, j: f"output_blocks.{2 * i + j}.1"),
        (r"^up_blocks\.(\d)\.upsamplers\.(\d)", lambda i, j: f"output_blocks.{2 * i + 1}.{2 - i}"),
    ):
        if found := re.match(pattern, name):
            return place(int(found[1] or 0), int(found[2])) + name[found.end() :]
    return name


def _of_autoencoder(name: str) -> str:
    name = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets", lambda found: f"up.{2 - int(found[1])}.block", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda found: f"up.{2 - int(found[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    for ours, theirs in _VAE.items():
        name = name.replace(ours, theirs)
    return name
