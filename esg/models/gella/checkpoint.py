"""GELLA's weight files: safetensors with the architecture and, for small models, the tokenizer in the metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...support.errors import WeightsError
from ...support.files import write_atomically
from ...support.weight_files import check_finite, read_state_dict
from ..meta_init import Unfilled
from .config import GellaConfig
from .file_kind import check_no_run, check_whole, is_gella
from .language import our_key
from .model import Gella
from .positions import POSITIONS, resampled

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_LANGUAGE = "language.llava."
_POSITIONS = f"language.{POSITIONS}"


def write_gella(
    out: str | Path, state: Mapping[str, Tensor], config: GellaConfig, tokenizer: Tokenizer, *, preset: str, steps: int
) -> None:
    """Writes a state dict of `Gella` as fp16 safetensors, under names that do not depend on the transformers version.

    Args:
        out: path of the file.
        state: state dict of the model.
        config: architecture of the model.
        tokenizer: tokenizer of its language model.
        preset: name of the architecture, or of the preset that it was derived from.
        steps: number of training steps.

    Raises:
        OutputError: `out` cannot be written.
    """
    from safetensors.torch import save

    tensors = {
        our_name(name): value.half().contiguous() if value.is_floating_point() else value.contiguous()
        for name, value in state.items()
    }
    metadata = {"format": "pt", "preset": preset, "config": config.to_json()}
    metadata |= {"tokenizer": tokenizer.to_str(), "steps": str(steps)}
    with write_atomically(out) as path:
        path.write_bytes(save(tensors, metadata))


def read_gella(path: str | Path, precision: torch.dtype = torch.float32) -> tuple[Gella, Tokenizer]:
    """Reads the model of a weight file, on the CPU, and its tokenizer.

    Uses no more memory than the weights need.

    Args:
        path: the file.
        precision: dtype of the language side's weights; all others are float32.

    Raises:
        WeightsError: the file cannot be read, or was not written by `write_gella`.
    """
    state, metadata = read_state_dict(path)
    if not is_gella(state, metadata):
        raise WeightsError(f"{path} does not hold weights of GELLA; choose gella-nano, or a file that does.")
    check_whole(state, metadata, path)
    with Unfilled():
        model = Gella(GellaConfig.from_json(metadata["config"]))
    _fill(model, state, path, precision)
    return model.eval(), tokenizer_in(metadata, path)


def load_gella(model: Gella, path: str | Path) -> None:
    """Loads the weights of a file into a model.

    If the model uses another image side, the vision encoder's learnt position table is resampled.

    Raises:
        WeightsError: the file cannot be read, or does not fit.
    """
    state, _ = read_state_dict(path)
    check_no_run(state, path)
    if _POSITIONS in state:
        state[_POSITIONS] = resampled(state[_POSITIONS], model.config.vision.grid**2 + 1)
    _fill(model, state, path, torch.float32)


def tokenizer_in(metadata: Mapping[str, str], path: str | Path) -> Tokenizer:
    """Reads the tokenizer from the metadata of a file that `write_gella` wrote.

    Raises:
        WeightsError: the metadata has no tokenizer, or a damaged one.
    """
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(metadata["tokenizer"])
    except Exception as error:  # tokenizers raises nothing narrower
        raise WeightsError(f"The tokenizer in {path} is missing or damaged ({error}); get the file again.") from None


def our_name(name: str) -> str:
    """The name that a weight of `Gella` has in our files."""
    if name.startswith(_LANGUAGE):
        return "language." + our_key(name[len(_LANGUAGE) :])
    return name


def _fill(model: Gella, state: dict[str, Tensor], path: str | Path, precision: torch.dtype) -> None:
    """Loads all weights or none: reports missing, unknown and misshapen weights before it loads anything."""
    own = model.state_dict()
    names = {name: our_name(name) for name in own}
    wanted = {ours: tuple(own[name].shape) for name, ours in names.items()}
    given = {ours: tuple(value.shape) for ours, value in state.items()}
    if wrong := sorted(ours for ours in wanted.keys() | given.keys() if wanted.get(ours) != given.get(ours)):
        raise WeightsError(
            f"{path} does not fit this GELLA; weights that are missing, unknown or of another shape: "
            f"{len(wrong)}, such as {wrong[0]}."
        )
    filled = {}
    for name, ours in names.items():
        dtype = precision if name.startswith(_LANGUAGE) else own[name].dtype
        # Copied because the file may be memory-mapped; one by one so that the weights are never in memory twice.
        filled[name] = state.pop(ours).to(dtype, copy=True)
        check_finite({ours: filled[name]}, str(path))
    model.load_state_dict(filled, assign=True)
