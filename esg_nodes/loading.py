"""Nodes that load models: by the names that ESG knows, and every file in the folders `models/entityseg`."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..esg import EntitySegmenter, Grounder, WeightsError, download, list_checkpoints, locate
from .host import WEIGHTS, host
from .inputs import choice, switch
from .values import GROUNDER, SEGMENTER

log = logging.getLogger(__name__)

ZERO_SHOT = ["zero-shot", "zero-shot-8bit", "zero-shot-4bit", "zero-shot:none"]
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".pkl")


class Loaded:
    """A segmenter or a grounder whose networks the host moves; `ready()` has it on its device."""

    def __init__(self, what: Any, device: Any) -> None:
        self._what = what
        self._device = device
        self._owned = host().own(what.networks, device)

    def ready(self) -> Any:
        """The segmenter or grounder, to be used at once."""
        host().bring(self._owned)
        if self._what.device != self._device:
            self._what.to(str(self._device))
        return self._what


# What is loaded in the same way from the same file is one, however many nodes ask for it, and as long as one holds it.
_LOADED: weakref.WeakValueDictionary[tuple[Any, ...], Loaded] = weakref.WeakValueDictionary()


def _once(key: tuple[Any, ...], load: Callable[[], Any], device: Any) -> Loaded:
    found = _LOADED.get(key)
    if found is None:
        found = _LOADED[key] = Loaded(load(), device)
    return found


def _models(task: str) -> list[str]:
    """Names for the loader's list: those that ESG knows, the shipped one first, then the user's files."""
    known = [checkpoint.name for checkpoint, _ in list_checkpoints() if checkpoint.task == task]
    files = [name for name in host().weight_files() if name.lower().endswith(_SUFFIXES)]
    return known + [name for name in files if Path(name).stem not in known]


def find_weights(name: str, *, fetch: bool = False) -> Path:
    """The file that a name of the loader's list means.

    Args:
        name: of a model, or of a file in one of the host's folders.
        fetch: whether a published model that is not here may be downloaded.

    Raises:
        WeightsError: it is not here, with the folders that were looked in and what to do.
    """
    folders = host().weight_folders()
    for folder in folders:
        path = folder / name
        if path.suffix.lower() in _SUFFIXES and path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    named = {checkpoint.name: checkpoint for checkpoint, _ in list_checkpoints()}
    if name not in named:
        places = ", ".join(map(str, folders))
        raise WeightsError(f"There is no model or file {name!r} in {places}; choose another one in the loader.")
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and named[name].matches(path.relative_to(folder).as_posix()):
                return path
    try:
        return locate(name)
    except WeightsError:
        if fetch:
            return download(name, folder=folders[0], say=log.info)
        places = ", ".join(map(str, folders))
        raise WeightsError(
            f"The weights of {name} are not in {places}. Switch `download` on in the loader to get them "
            f"({named[name].licence}), put the authors' file there, or choose cropformer-nano, which comes with ESG."
        ) from None


def _stamp(path: Path) -> tuple[str, int, int]:
    """A file and its state, which changes when it is written anew."""
    state = path.stat()
    return str(path.resolve()), state.st_size, state.st_mtime_ns


def _common_inputs() -> dict[str, Any]:
    return {
        "precision": choice(
            ["fp32", "bf16", "fp16"],
            "Of the network's arithmetic. bf16 and fp16 are faster on GPUs made for them; fp16 is for GPUs only.",
        ),
        "device": choice(["auto", "cpu"], "auto: where ComfyUI computes. cpu: leave the GPU to the diffusion model."),
    }


class LoadSegmenter:
    CATEGORY = "ESG"
    DESCRIPTION = (
        "Loads a CropFormer or Mask2Former, which takes pictures apart into their entities. cropformer-nano comes with "
        f"ESG. Put the authors' weights into models/{WEIGHTS}, or let them be downloaded (CC BY-NC 4.0)."
    )
    SEARCH_ALIASES = ("cropformer", "mask2former", "segment everything", "entity segmentation", "segment anything")
    RETURN_TYPES = (SEGMENTER,)
    RETURN_NAMES = ("segmenter",)
    OUTPUT_TOOLTIPS = ("For Segment Entities.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": choice(
                    _models("entity"),
                    f"A model that ESG knows, or a file in models/{WEIGHTS} or in the folders of that name in "
                    "extra_model_paths.yaml.",
                ),
                **_common_inputs(),
                "attention": choice(["auto", "sdpa", "xformers", "eager"], "How attention is computed; results agree."),
                "download": switch(
                    False,
                    "If the chosen model is not here, download it from its authors' page (up to 1 GB; CC BY-NC 4.0: no "
                    "commercial use).",
                ),
            }
        }

    @classmethod
    def IS_CHANGED(cls, model: str, **_: Any) -> Any:
        try:
            return _stamp(find_weights(model))
        except WeightsError:
            return float("nan")  # never equal: look again

    def load(self, model: str, precision: str, device: str, attention: str, download: bool) -> tuple[Loaded]:
        path = find_weights(model, fetch=download)
        place = host().device(device)

        def read() -> EntitySegmenter:
            return EntitySegmenter.from_pretrained(
                path, device=str(place), precision=precision, attention=attention, at_rest="cpu"
            )

        return (_once(("segmenter", *_stamp(path), precision, attention, str(place)), read, place),)


class LoadGrounder:
    CATEGORY = "ESG"
    DESCRIPTION = (
        "Loads a GELLA, which describes pictures and says which entities words mean. gella-nano comes with ESG; it is "
        "small and knows colours, shapes and places rather than things. zero-shot uses CLIP and LLaVA, if they are in "
        "the Hugging Face cache."
    )
    SEARCH_ALIASES = ("gella", "llava", "caption", "text grounding", "referring segmentation")
    RETURN_TYPES = (GROUNDER,)
    RETURN_NAMES = ("grounder",)
    OUTPUT_TOOLTIPS = ("For Ground Text, Describe Image and Find Nouns.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": choice(
                    _models("grounding") + ZERO_SHOT,
                    f"A model that ESG knows, a file in models/{WEIGHTS}, or the training-free grounder: zero-shot "
                    "with LLaVA, with LLaVA in 8 or 4 bits, or with CLIP alone (none).",
                ),
                **_common_inputs(),
            }
        }

    @classmethod
    def IS_CHANGED(cls, model: str, **_: Any) -> Any:
        return model if model in ZERO_SHOT else LoadSegmenter.IS_CHANGED(model)

    def load(self, model: str, precision: str, device: str) -> tuple[Loaded]:
        place = host().device(device)
        path = None if model in ZERO_SHOT else find_weights(model)
        source = (model,) if path is None else _stamp(path)

        def read() -> Grounder:
            at_rest = None if "bit" in model else "cpu"  # weights of few bits cannot be moved
            return Grounder.from_pretrained(path or model, device=str(place), precision=precision, at_rest=at_rest)

        return (_once(("grounder", *source, precision, str(place)), read, place),)
