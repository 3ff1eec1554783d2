"""Published checkpoints as safetensors files of ours, which say themselves which model they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from .cropformer.checkpoints import convert, fitting_presets, is_official
from .cropformer.config import PRESETS
from .errors import InputError, WeightsError
from .files import write_atomically
from .statedict import read_state_dict


@dataclass(frozen=True)
class Converted:
    """A weight file that was written.

    Attributes:
        path: of the file.
        preset: name of the model that it fits.
        parameters: numbers in all its tensors.
    """

    path: Path
    preset: str
    parameters: int


def convert_file(source: str | Path, out: str | Path, *, half: bool = False) -> Converted:
    """Writes a published checkpoint, or weights of ours, as safetensors with preset and architecture in its metadata.

    Args:
        source: a `.pth` of the authors, or a weight file of ours.
        out: the file to write, `*.safetensors`; it must not be the source.
        half: whether floating point numbers are kept in fp16: half the size, about three digits.

    Raises:
        InputError: `out` is the source or has another suffix.
        WeightsError: the source is not readable, fits no model, or does not fit into fp16.
        OutputError: `out` cannot be written.
    """
    source, out = Path(source), Path(out)
    if out.suffix.lower() != ".safetensors":
        raise InputError(f"The result is a safetensors file, so {out} has to be called *.safetensors.")
    if out.exists() and source.exists() and out.samefile(source):
        raise InputError(f"{out} is the file to convert; give the result another name.")
    state, _ = read_state_dict(source)
    if is_official(state):
        state = convert(state)
    fits = fitting_presets(state)
    if not fits:
        raise WeightsError(f"{source} fits no model of ESG; see `esg weights list` for those that do.")
    preset = fits[0]
    if half:
        state = {name: _halved(name, value) for name, value in state.items()}
    metadata = {"format": "pt", "preset": preset, "config": PRESETS[preset].config.to_json()}
    with write_atomically(out) as path:
        # Not `save_file`: it reports a full disk by an error of its own, and its files are for their owner alone.
        path.write_bytes(save({name: value.contiguous() for name, value in state.items()}, metadata))
    return Converted(out, preset, sum(value.numel() for value in state.values()))


def _halved(name: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value
    if value.abs().amax() > torch.finfo(torch.float16).max:
        raise WeightsError(f"{name} holds numbers too large for fp16; convert without --half.")
    return value.half()
