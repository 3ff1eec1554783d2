"""Converts published checkpoints into safetensors files whose metadata names the model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from ..models.cropformer.checkpoints import convert, is_official, preset_of
from ..models.cropformer.config import PRESETS, CropFormerConfig
from ..models.gella.file_kind import check_whole, is_gella
from ..support.errors import InputError, WeightsError
from ..support.files import write_atomically
from ..support.weight_files import read_state_dict


@dataclass(frozen=True)
class Converted:
    """A weight file that was written.

    Attributes:
        path: path of the file.
        preset: name of the model that it fits.
        parameters: number of values in all its tensors.
    """

    path: Path
    preset: str
    parameters: int


def convert_file(source: str | Path, out: str | Path, *, half: bool = False) -> Converted:
    """Writes a published checkpoint, or weights of ours, as safetensors with preset and architecture in its metadata.

    Args:
        source: a `.pth` of the authors, or a weight file of ours; GELLA's do not need conversion.
        out: the file to write, `*.safetensors`; it must not be the source.
        half: whether to store floating-point numbers as fp16: half the size, about three digits.

    Raises:
        InputError: `out` is the source or has another suffix.
        WeightsError: the source cannot be read, is not a CropFormer or Mask2Former, or does not fit into fp16.
        OutputError: `out` cannot be written.
    """
    source, out = Path(source), Path(out)
    if out.suffix.lower() != ".safetensors":
        raise InputError(f"The result is a safetensors file; give {out} a name that ends in .safetensors.")
    if os.path.exists(out) and os.path.exists(source) and out.samefile(source):
        raise InputError(f"{out} is the file to convert; give the result another name.")
    state, metadata = read_state_dict(source)
    if is_gella(state, metadata):
        check_whole(state, metadata, source)
        raise WeightsError(f"{source} holds weights of GELLA, which do not need conversion: use the file as it is.")
    if is_official(state):
        state = convert(state, str(source))
    preset = preset_of(state, str(source))
    write_weights(out, state, preset, half=half)
    return Converted(out, preset, sum(value.numel() for value in state.values()))


def write_weights(
    out: str | Path,
    state: Mapping[str, Tensor],
    preset: str,
    config: CropFormerConfig | None = None,
    *,
    half: bool = False,
    **metadata: str,
) -> None:
    """Writes weights in our format; preset and architecture go into the metadata, in addition to the caller's.

    `config` is the architecture, if it differs from the preset's.

    Raises:
        WeightsError: `half` is set and a number does not fit into fp16.
        OutputError: `out` cannot be written.
    """
    # Copies, because safetensors refuses to write two names that share a tensor.
    tensors = {
        name: (_halved(name, value) if half else value).clone(memory_format=torch.contiguous_format)
        for name, value in state.items()
    }
    metadata |= {"format": "pt", "preset": preset, "config": (config or PRESETS[preset].config).to_json()}
    with write_atomically(out) as path:
        # Not `save_file`: it raises its own error when the disk is full, and only the owner can read its files.
        path.write_bytes(save(tensors, metadata))


def _halved(name: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value
    if value.abs().amax() > torch.finfo(torch.float16).max:
        raise WeightsError(f"{name} holds numbers too large for fp16; convert without --half.")
    return value.half()
