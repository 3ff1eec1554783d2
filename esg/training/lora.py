"""LoRA (Hu et al., ICLR 2022): freezes layers of the language model and trains low-rank updates of them.

Everything else in GELLA is trained in full.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..models.gella.language import Language
from ..support.errors import EsgError

_SCALE = 2  # factor of the update, whatever its rank
_LAYERS = r".*language_model\..*\.(q|k|v|o|gate|up|down)_proj"  # in any version of transformers
_KEPT, _DOWN, _UP = ".base_layer.weight", ".lora_A.default.weight", ".lora_B.default.weight"


def add_lora(language: Language, rank: int) -> None:
    """Adds an update of this rank to every linear layer of the language model, and freezes the layer itself.

    Raises:
        EsgError: peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise EsgError("LoRA needs peft: pip install peft (or the extra esg[train]).") from None
    trained = [parameter for parameter in language.llava.parameters() if parameter.requires_grad]
    config = LoraConfig(r=rank, lora_alpha=_SCALE * rank, target_modules=_LAYERS)
    inject_adapter_in_model(config, language.llava)  # also freezes everything else
    for parameter in trained:
        parameter.requires_grad_(True)
    for name, parameter in language.llava.named_parameters():
        if name.endswith(_KEPT):
            parameter.requires_grad_(False)


def rank_in(state: Mapping[str, Tensor]) -> int:
    """The rank of the updates in a state dict; 0 without updates."""
    return next((len(value) for name, value in state.items() if name.endswith(_DOWN)), 0)


def merged(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the updates merged into the weights, under the weights' names without LoRA."""
    plain = {}
    for name, value in state.items():
        if name.endswith((_DOWN, _UP)):
            continue
        if name.endswith(_KEPT):
            name = name.removesuffix(_KEPT)
            product = state[name + _UP].float() @ state[name + _DOWN].float()
            name, value = f"{name}.weight", (value.float() + _SCALE * product).to(value.dtype)
        plain[name] = value
    return plain
