"""Reads the published weights that GELLA starts from, as Hugging Face folders: LLaVA-1.5, CLIP, MobileNetV2 and Swin.

A folder holds `model.safetensors`, or several files and `model.safetensors.index.json`. Nothing is loaded unless all
weights of a part are there and fit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...support.errors import WeightsError
from ...support.weight_files import read_state_dict
from ..layers.swin import Swin
from ..meta_init import Unfilled
from .colormap_encoder import MobileNetV2
from .config import GellaConfig, LanguageConfig
from .language import Language, our_key
from .positions import POSITIONS, resampled

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_ONE = "model.safetensors"
_SEVERAL = "model.safetensors.index.json"
_COMPUTED = ("position_ids", "inv_freq")  # tables that old versions of transformers stored with the weights
_PROJECTOR, _VISION = "projector.", "vision."  # the parts of LLaVA, see `language.our_key`
_LLAVA = "get the folder llava-hf/llava-1.5-7b-hf or llava-1.5-13b-hf, whichever the preset needs"


def read_llava(config: GellaConfig, folder: Path) -> Language:
    """The language side of a model with the weights of LLaVA-1.5, in float32.

    A projector of one linear layer, which LLaVA-1.5 does not have, starts from scratch.

    Args:
        config: configuration of the model.
        folder: a folder from `llava-hf`, written by any version of transformers. Only the vision encoder's image
            side may differ from that in `config`; its positions are then resampled.

    Raises:
        WeightsError: the folder is not a LLaVA-1.5, is incomplete, or has another size.
    """
    _check_kind(folder, "llava", _LLAVA)
    with Unfilled():
        language = Language(config)
    own = language.llava.state_dict()
    names = {our_key(name): name for name in own}
    if linear := config.projection == "linear":
        language.renew_projector()  # outside of `Unfilled`, so that it has weights
        names = {ours: name for ours, name in names.items() if not ours.startswith(_PROJECTOR)}

    def rename(name: str) -> str | None:
        ours = our_key(name)
        return None if linear and ours.startswith(_PROJECTOR) else ours

    filled = _Weights(folder, _named(rename)).fitting({ours: own[name] for ours, name in names.items()}, _LLAVA)
    language.llava.load_state_dict({names[ours]: value for ours, value in filled.items()}, assign=True, strict=False)
    return language


def load_clip_vision(language: Language, folder: Path) -> None:
    """Replaces the vision encoder's weights by those of a CLIP, such as `openai/clip-vit-large-patch14` for 224 pixels.

    Raises:
        WeightsError: the folder is not a CLIP, is incomplete, or has another size.
    """
    hint = "get a CLIP of the vision encoder's size, such as the folder openai/clip-vit-large-patch14 for 224 pixels"
    _check_kind(folder, ("clip", "clip_vision_model"), hint)

    def rename(name: str) -> str | None:
        of_vision = name.startswith("vision_model.") and not name.endswith(_COMPUTED)
        return _VISION + name.removeprefix("vision_model.") if of_vision else None

    own = language.llava.state_dict()
    names = {our_key(name): name for name in own if our_key(name).startswith(_VISION)}
    filled = _Weights(folder, rename).fitting({ours: own[name] for ours, name in names.items()}, hint)
    language.llava.load_state_dict({names[ours]: value for ours, value in filled.items()}, strict=False)


def read_llava_tokenizer(config: LanguageConfig, folder: Path) -> Tokenizer:
    """The tokenizer of LLaVA-1.5, whose token ids must match those of the model.

    Raises:
        WeightsError: the tokenizer is missing or damaged, or its special tokens have other ids.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise WeightsError(f"{folder} has no tokenizer.json; {_LLAVA}.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise WeightsError(f"{path} is damaged ({error}); get the folder again.") from None
    wanted = {"<s>": config.begin_token, "</s>": config.end_token, "<image>": config.image_token}
    wrong = [name for name, number in wanted.items() if tokenizer.token_to_id(name) != number]
    if wrong or tokenizer.id_to_token(config.seg_token) is not None:
        number = wanted[wrong[0]] if wrong else config.seg_token
        raise WeightsError(f"In {path}, token {number} is not {wrong[0] if wrong else 'free for <SEG>'}; {_LLAVA}.")
    return tokenizer


def load_encoder(encoder: MobileNetV2 | Swin, folder: Path) -> None:
    """Loads ImageNet weights into the colormap encoder, see `load_mobilenet` and `load_swin`."""
    (load_mobilenet if isinstance(encoder, MobileNetV2) else load_swin)(encoder, folder)  # type: ignore[arg-type]


def load_mobilenet(encoder: MobileNetV2, folder: Path) -> None:
    """Loads ImageNet weights of MobileNetV2, such as `google/mobilenet_v2_1.0_224`, into the colormap encoder.

    Raises:
        WeightsError: the folder is not a MobileNetV2, is incomplete, or has another number of channels.
    """
    hint = "get the folder google/mobilenet_v2_1.0_224, or another one of its scale"
    _check_kind(folder, "mobilenet_v2", hint)

    def inner(name: str) -> str | None:
        return None if name.startswith("classifier.") else name.removeprefix("mobilenet_v2.")

    encoder.net.load_state_dict(_Weights(folder, inner).fitting(encoder.net.state_dict(), hint))


def load_swin(encoder: Swin, folder: Path) -> None:
    """Loads ImageNet weights of a Swin Transformer, such as `microsoft/swin-tiny-patch4-window7-224`.

    The norms of the output levels, which a classifier does not have, keep their weights.

    Raises:
        WeightsError: the folder is not a Swin Transformer, is incomplete, or has another size.
    """
    hint = (
        "get the folder microsoft/swin-tiny-patch4-window7-224 or swin-large-patch4-window7-224-in22k, whichever the "
        "colormap encoder needs"
    )
    _check_kind(folder, "swin", hint)
    own = encoder.state_dict()
    wanted: dict[str, Tensor] = {}
    for name, value in own.items():
        if name.startswith("norms."):
            continue
        before, is_qkv, kind = name.partition("attention.qkv.")
        if is_qkv:  # one matrix for the three that the folder has
            wanted |= {f"{before}attention.{part}.{kind}": third for part, third in zip(_QKV, value.chunk(3))}
        else:
            wanted[name] = value
    filled = _Weights(folder, _our_swin_key).fitting(wanted, hint)
    for name in own:
        before, is_qkv, kind = name.partition("attention.qkv.")
        if is_qkv:
            filled[name] = torch.cat([filled.pop(f"{before}attention.{part}.{kind}") for part in _QKV])
    encoder.load_state_dict(filled, strict=False)


_QKV = ("query", "key", "value")
_SWIN_KEYS = (
    (r"embeddings\.patch_embeddings\.projection\.", "patch_embed."),
    (r"embeddings\.norm\.", "patch_norm."),
    (r"encoder\.layers\.(\d+)\.downsample\.", r"mergings.\1."),
    (r"encoder\.layers\.(\d+)\.blocks\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"layernorm_before\.", "norm1."),
    (r"layernorm_after\.", "norm2."),
    (r"attention\.self\.relative_position_bias_table", "attention.bias_table"),
    (r"attention\.self\.", "attention."),
    (r"attention\.output\.dense\.", "attention.proj."),
    (r"intermediate\.dense\.", "mlp.0."),
    (r"(?<!attention\.)output\.dense\.", "mlp.2."),
)


def _our_swin_key(name: str) -> str | None:
    """Our name of a Swin weight as transformers names it; None for tables, the last norm and the classifier."""
    name = name.removeprefix("swin.")
    if name.startswith(("classifier.", "layernorm.")) or name.endswith("relative_position_index"):
        return None
    for pattern, ours in _SWIN_KEYS:
        name = re.sub(pattern, ours, name)
    return name


class _Weights:
    """The weights in a folder.

    Args:
        folder: the folder.
        rename: returns our name for a name in the folder; None for weights that are not needed.
    """

    def __init__(self, folder: Path, rename: Callable[[str], str | None]) -> None:
        self._folder, self._rename = folder, rename

    def fitting(self, wanted: Mapping[str, Tensor], hint: str) -> dict[str, Tensor]:
        """Copies of the wanted weights, in their dtypes; WeightsError unless names and shapes match.

        The vision encoder's position table is resampled to the wanted size.
        """
        filled: dict[str, Tensor] = {}
        others: list[str] = []
        for path in self._files():
            state, _ = read_state_dict(path)
            for name in sorted(state):
                ours, value = self._rename(name), state.pop(name)
                if ours is None:
                    continue
                if ours not in wanted:
                    others.append(name)
                    continue
                if ours == POSITIONS:
                    value = resampled(value, len(wanted[ours]))
                if value.shape != wanted[ours].shape:
                    raise WeightsError(
                        f"{name} in {self._folder} is {_size(value)}, but the model needs {_size(wanted[ours])}; "
                        f"{hint}."
                    )
                filled[ours] = value.to(wanted[ours].dtype, copy=True)
        if missing := sorted(wanted.keys() - filled.keys()):
            raise WeightsError(f"{self._folder} lacks {_listed(missing)}; {hint}.")
        if others:
            raise WeightsError(f"{self._folder} has weights that do not fit, {_listed(sorted(others))}; {hint}.")
        return filled

    def _files(self) -> list[Path]:
        index = self._folder / _SEVERAL
        if not index.is_file():
            if not (self._folder / _ONE).is_file():
                raise WeightsError(f"{self._folder} has neither {_ONE} nor {_SEVERAL}; get those files as well.")
            return [self._folder / _ONE]
        places = _json(index).get("weight_map")
        if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
            raise WeightsError(f"{index} does not list any files; get it again.")
        names = sorted(set(places.values()))
        # Security: only files in the folder itself are read, whatever the index says.
        if absent := [name for name in names if Path(name).name != name or not (self._folder / name).is_file()]:
            raise WeightsError(f"{self._folder} lacks {_listed(absent)}; get those files as well.")
        return [self._folder / name for name in names]


def _named(rename: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """Makes `rename` return unknown names unchanged, and None for computed tables."""

    def inner(name: str) -> str | None:
        if name.endswith(_COMPUTED):
            return None
        try:
            return rename(name)
        except KeyError:
            return name

    return inner


def _check_kind(folder: Path, kind: str | tuple[str, ...], hint: str) -> None:
    if not folder.is_dir():
        raise WeightsError(f"The folder {folder} does not exist; {hint}.")
    config = folder / "config.json"
    if not config.is_file():
        raise WeightsError(f"{folder} has no config.json; {hint}.")
    found = _json(config).get("model_type")
    kinds = (kind,) if isinstance(kind, str) else kind
    if found not in kinds:
        raise WeightsError(f"{folder} holds a model of type {found!r} instead of {kinds[0]!r}; {hint}.")


def _json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); get it again.") from None
    if not isinstance(content, dict):
        raise WeightsError(f"{path} is not a JSON object; get it again.")
    return content


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _size(value: Tensor) -> str:
    return " × ".join(map(str, value.shape)) or "one number"
