"""Nodes that load models, by a name that ESG knows or from a file in a folder `models/entityseg`."""

from __future__ import annotations

import logging
import re
import weakref
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..esg import (
    EntitySegmenter,
    EsgError,
    Grounder,
    InputError,
    WeightsError,
    checkpoint_named,
    download,
    download_public,
    list_checkpoints,
    locate,
    task_of,
)
from .host import WEIGHTS, host
from .inputs import choice, switch, text
from .values import GROUNDER, SEGMENTER

log = logging.getLogger(__name__)

ZERO_SHOT = ["zero-shot", "zero-shot-8bit", "zero-shot-4bit", "zero-shot:none"]
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".pkl")


class Loaded:
    """A segmenter or a grounder whose networks the host moves; `ready()` brings them to their device."""

    def __init__(self, what: Any, device: Any) -> None:
        self._what = what
        self._device = device
        self._owned = host().own(what.networks, device)

    @property
    def model(self) -> Any:
        """The segmenter or grounder, for methods that do not run a network."""
        return self._what

    def ready(self) -> Any:
        """The segmenter or grounder with its networks on their device, to be used at once."""
        host().bring(self._owned)
        if self._what.device != self._device:
            self._what.to(str(self._device))
        return self._what


# The same file, loaded in the same way, is in memory only once, as long as any node holds it.
_LOADED: weakref.WeakValueDictionary[tuple[Any, ...], Loaded] = weakref.WeakValueDictionary()


def _once(key: tuple[Any, ...], load: Callable[[], Any], device: Any) -> Loaded:
    found = _LOADED.get(key)
    if found is None:
        found = _LOADED[key] = Loaded(load(), device)
    return found


def _models(task: str) -> list[str]:
    """Names for the menu of a loader: the models that ESG knows, the bundled one first, then the user's files.

    Args:
        task: "grounding", or "entity" for segmenters, which may know classes.
    """
    grounds = task == "grounding"
    known = [checkpoint.name for checkpoint, _ in list_checkpoints() if (checkpoint.task == "grounding") == grounds]
    files = [name for name in host().weight_files() if name.lower().endswith(_SUFFIXES)]
    return known + [name for name in files if Path(name).stem not in known and _task(name) in (task, None)]


def _task(name: str) -> str | None:
    """The task of a file in the host's folders, or None if its header does not say."""
    for folder in host().weight_folders():
        if (path := folder / name).is_file():
            return _task_of_state(*_stamp(path))
    return None


@lru_cache(maxsize=1024)  # the menus are built often, and a folder may be on a slow disk
def _task_of_state(path: str, size: int, written: int) -> str | None:
    return task_of(path)


def find_weights(name: str, *, fetch: bool = False) -> Path:
    """The weight file for a name in the loader's menu.

    Args:
        name: name of a model, or of a file in one of the host's folders.
        fetch: whether a published model that is not on this machine may be downloaded.

    Raises:
        WeightsError: it is not on this machine; the message names the folders that were searched and what to do.
    """
    folders = host().weight_folders()
    for folder in folders:
        path = folder / name
        if path.suffix.lower() in _SUFFIXES and path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    named = {checkpoint.name: checkpoint for checkpoint, _ in list_checkpoints()}
    if name not in named:
        places = ", ".join(map(str, folders))
        raise WeightsError(f"The model or file {name!r} is not in {places}; choose another one in the loader.")
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
            f"The weights of {name} are not in {places}. Switch on download in the loader to get them "
            f"({named[name].licence}), put the authors' file there, or choose cropformer-nano, which comes with ESG."
        ) from None


def _stamp(path: Path) -> tuple[str, int, int]:
    """Path, size and time of a file, which change if it is rewritten."""
    state = path.stat()
    return str(path.resolve()), state.st_size, state.st_mtime_ns


def _common_inputs() -> dict[str, Any]:
    return {
        "precision": choice(
            ["fp32", "bf16", "fp16"],
            "Precision of the network. bf16 and fp16 are faster on GPUs that support them and need less memory; fp16 "
            "works on GPUs only.",
        ),
        "device": choice(
            ["auto", "cpu"], "auto: the device that ComfyUI uses. cpu: leaves the GPU to the diffusion model."
        ),
    }


_ATTENTION = ["auto", "sdpa", "xformers", "eager"]
_ATTENTION_HELP = (
    "Attention backend; all give the same result. auto: xformers on an NVIDIA GPU where it is installed, otherwise "
    "PyTorch's own."
)


def _categories(name: str) -> Path | None:
    """The file of categories with this name in one of the host's folders; None without a name.

    Raises:
        InputError: it is not there; other places are refused.
    """
    if not name.strip():
        return None
    for folder in host().weight_folders():
        path = (folder / name.strip()).resolve()
        if path.is_file() and path.is_relative_to(folder.resolve()):
            return path
    places = ", ".join(map(str, host().weight_folders()))
    raise InputError(
        f"The file {name.strip()!r} is not in {places}; put the COCO JSON there, and write its name into categories of "
        "Load Segmenter."
    )


class LoadSegmenter:
    CATEGORY = "ESG"
    DESCRIPTION = (
        "Loads a CropFormer or Mask2Former, which segments pictures into their entities; instance, panoptic and "
        "semantic models also name their classes. cropformer-nano comes with ESG. "
        f"{checkpoint_named('cropformer-nano').knows} For better masks, put the authors' weights into "
        f"models/{WEIGHTS} or download them here (CC BY-NC 4.0: no commercial use)."
    )
    SEARCH_ALIASES = (
        "cropformer",
        "mask2former",
        "segment everything",
        "entity segmentation",
        "segment anything",
        "sam",
    )
    RETURN_TYPES = (SEGMENTER,)
    RETURN_NAMES = ("segmenter",)
    OUTPUT_TOOLTIPS = ("For Segment Entities and Segment Frames.",)
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
                "attention": choice(_ATTENTION, _ATTENTION_HELP),
                "download": switch(
                    False,
                    "If the chosen model is not on this machine, download it from its authors' page (up to 1 GB; CC "
                    "BY-NC 4.0: no commercial use).",
                ),
            },
            "optional": {
                "categories": text(
                    "",
                    "For instance, panoptic and semantic models: the name of a COCO JSON in "
                    f"models/{WEIGHTS} with the categories of their training data. They name the entities and say what "
                    "is stuff. Empty: class 0, class 1 and so on.",
                ),
                "compile": switch(
                    False,
                    "Compiles the network with torch.compile: minutes for each new size of pictures, then faster on "
                    "GPUs. The masks are the same up to rounding.",
                    advanced=True,
                ),
            },
        }

    @classmethod
    def IS_CHANGED(cls, model: str, categories: str = "", **_: Any) -> Any:
        try:
            listed = _categories(categories)
            return _stamp(find_weights(model)) if listed is None else (*_stamp(find_weights(model)), *_stamp(listed))
        except EsgError:
            return float("nan")  # never equal: look again

    def load(
        self,
        model: str,
        precision: str,
        device: str,
        attention: str,
        download: bool,
        categories: str = "",
        compile: bool = False,
    ) -> tuple[Loaded]:
        path, listed = find_weights(model, fetch=download), _categories(categories)
        place = host().device(device)
        source = _stamp(path) if listed is None else (*_stamp(path), *_stamp(listed))

        def read() -> EntitySegmenter:
            return EntitySegmenter.from_pretrained(
                path,
                device=str(place),
                precision=precision,
                attention=attention,
                compile=compile,
                offload_device="cpu",
                categories=listed,
            )

        return (_once(("segmenter", *source, precision, attention, compile, str(place)), read, place),)


def _own_or_public(name: str) -> str:
    """A folder within the host's folders of weights, or a model name on the hub; other places are refused."""
    for folder in host().weight_folders():
        path = (folder / name).resolve()
        if path.is_dir() and path.is_relative_to(folder.resolve()):
            return str(path)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not set(name.split("/")) & {".", ".."}:
        return name
    places = ", ".join(map(str, host().weight_folders()))
    raise WeightsError(
        f"The folder {name!r} is not in {places}, and it is not a model name such as someone/model; correct folder in "
        "Load Grounder."
    )


class LoadGrounder:
    CATEGORY = "ESG"
    DESCRIPTION = (
        "Loads a GELLA, which describes pictures and finds the entities that words refer to. gella-nano comes with "
        f"ESG. {checkpoint_named('gella-nano').knows} zero-shot uses CLIP and LLaVA from the Hugging Face cache, or "
        "downloads them if you allow it."
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
                    "(with LLaVA), zero-shot-8bit and -4bit (LLaVA in less memory), or zero-shot:none (CLIP alone, "
                    "which cannot write captions).",
                ),
                **_common_inputs(),
            },
            "optional": {
                "download": switch(
                    False,
                    "For zero-shot only: download missing models from the Hugging Face hub (up to 16 GB; each has its "
                    "own licence).",
                ),
                "folder": text(
                    "",
                    "For zero-shot only: another language model, by its name on the hub, such as "
                    f"HuggingFaceTB/SmolVLM-Instruct, or the name of a folder in models/{WEIGHTS} with its files.",
                ),
                "attention": choice(_ATTENTION, _ATTENTION_HELP),
                "compile": switch(
                    False,
                    "Compiles the steps in which a GELLA writes with torch.compile: takes minutes, then large models "
                    "write faster on GPUs. The texts are the same up to rounding.",
                    advanced=True,
                ),
            },
        }

    @classmethod
    def IS_CHANGED(cls, model: str, **_: Any) -> Any:
        return model if model in ZERO_SHOT else LoadSegmenter.IS_CHANGED(model)

    def load(
        self,
        model: str,
        precision: str,
        device: str,
        download: bool = False,
        folder: str = "",
        attention: str = "auto",
        compile: bool = False,
    ) -> tuple[Loaded]:
        place = host().device(device)
        path = None if model in ZERO_SHOT else find_weights(model)
        if path is None and folder.strip() and ":" not in model:
            model = f"{model}:{_own_or_public(folder.strip())}"
        if path is None and download:
            download_public(Grounder.public_models(model), say=log.info)
        source = (model,) if path is None else _stamp(path)

        def read() -> Grounder:
            offload_device = None if "bit" in model else "cpu"  # quantised weights cannot be moved
            try:
                return Grounder.from_pretrained(
                    path or model,
                    device=str(place),
                    precision=precision,
                    attention=attention,
                    compile=compile,
                    offload_device=offload_device,
                )
            except WeightsError as error:
                if path is not None or download:
                    raise
                raise WeightsError(f"{error} Or switch on download in Load Grounder.") from None

        return (_once(("grounder", *source, precision, attention, compile, str(place)), read, place),)
