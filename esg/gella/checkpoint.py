"""GELLA's weight files: safetensors with the architecture, and for small models the tokenizer, in the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ..errors import WeightsError
from ..files import write_atomically
from ..statedict import read_state_dict
from .config import PRESETS, GellaConfig
from .language import our_key
from .model import Gella

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_LANGUAGE = "language.llava."


def write_gella(out: str | Path, state: Mapping[str, Tensor], preset: str, tokenizer: Tokenizer, steps: int) -> None:
    """Writes a state dict of `Gella` as fp16 safetensors, under names that no version of transformers changes.

    Raises:
        OutputError: `out` cannot be written.
    """
    from safetensors.torch import save

    tensors = {
        _our_name(name): value.half().contiguous() if value.is_floating_point() else value.contiguous()
        for name, value in state.items()
    }
    metadata = {"format": "pt", "preset": preset, "config": PRESETS[preset].to_json()}
    metadata |= {"tokenizer": tokenizer.to_str(), "steps": str(steps)}
    with write_atomically(out) as path:
        path.write_bytes(save(tensors, metadata))


def read_gella(path: str | Path) -> tuple[Gella, Tokenizer]:
    """The model of a weight file, in float32 on the CPU, and its tokenizer.

    Raises:
        WeightsError: it cannot be read, or is no file of `write_gella`.
    """
    from tokenizers import Tokenizer

    state, metadata = read_state_dict(path)
    if not {"config", "tokenizer"} <= metadata.keys():
        raise WeightsError(f"{path} holds no weights of GELLA.")
    model = Gella(GellaConfig.from_json(metadata["config"]))
    _fill(model, state, path)
    return model.eval(), Tokenizer.from_str(metadata["tokenizer"])


def load_gella(model: Gella, path: str | Path) -> None:
    """Fills a model with the weights of a file.

    Raises:
        WeightsError: it cannot be read, or does not fit.
    """
    _fill(model, read_state_dict(path)[0], path)


def _our_name(name: str) -> str:
    if name.startswith(_LANGUAGE):
        return "language." + our_key(name[len(_LANGUAGE) :])
    return name


def _fill(model: Gella, state: Mapping[str, Tensor], path: str | Path) -> None:
    """All weights or none: what is missing, unknown or of another shape is told before anything is loaded."""
    own = model.state_dict()
    names = {name: _our_name(name) for name in own}
    wanted = {ours: tuple(own[name].shape) for name, ours in names.items()}
    given = {ours: tuple(value.shape) for ours, value in state.items()}
    if wrong := sorted(ours for ours in wanted.keys() | given.keys() if wanted.get(ours) != given.get(ours)):
        raise WeightsError(
            f"{path} does not fit this GELLA; weights that are missing, unknown or of another shape: "
            f"{len(wrong)}, such as {wrong[0]}."
        )
    model.load_state_dict({name: state[ours].to(own[name].dtype) for name, ours in names.items()})
