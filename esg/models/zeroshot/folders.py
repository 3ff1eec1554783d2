"""Finds models of the Hugging Face hub on this machine, and checks that they are complete; never uses the network.

Imports no PyTorch, so that models can be listed quickly.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...support.errors import WeightsError
from ...support.files import at_home

CLIP = "openai/clip-vit-large-patch14-336"
WRITER = "llava-hf/llava-1.5-7b-hf"
LICENCES = "MIT, Llama 2"  # of these two models

_WEIGHTS = "model.safetensors"
_INDEX = f"{_WEIGHTS}.index.json"
_PICKLED = "pytorch_model.bin"
_TOKENIZERS = (["tokenizer.json"], ["tokenizer.model"], ["vocab.json", "merges.txt"])  # one of these is enough
_PROCESSORS = (["preprocessor_config.json"], ["processor_config.json"])


def model_folders(names_or_paths: Sequence[str | Path]) -> list[Path]:
    """The folders with the files of some models.

    Args:
        names_or_paths: for each model a folder, or a name whose files `hf download` has put into huggingface_hub's
            cache.

    Raises:
        WeightsError: some are not on this machine; the message has the commands that download them.
    """
    folders = [find_model(name) for name in names_or_paths]
    missing = list(dict.fromkeys(str(name) for name, folder in zip(names_or_paths, folders) if folder is None))
    if missing:
        from huggingface_hub import constants

        are, them = ("is", "it") if len(missing) == 1 else ("are", "them")
        raise WeightsError(
            f"{' and '.join(missing)} {are} not on this machine (looked in {constants.HF_HUB_CACHE}); get {them} with "
            f"{download_commands(missing)} (`huggingface-cli download` in older versions), or give a folder that holds "
            "the model's files."
        )
    return [folder for folder in folders if folder is not None]


def find_model(name_or_path: str | Path) -> Path | None:
    """The folder with a model's files, see `model_folders`, or None if the model is not on this machine.

    Raises:
        WeightsError: it is a folder that does not exist.
    """
    path = at_home(name_or_path)
    if os.path.isdir(path):  # unlike Path.is_dir, this never raises
        return path
    from huggingface_hub import constants, try_to_load_from_cache

    try:
        found = try_to_load_from_cache(str(name_or_path), "config.json", cache_dir=constants.HF_HUB_CACHE)
    except ValueError:  # not a valid model name
        raise WeightsError(f"The folder {path} does not exist.") from None
    return Path(found).parent if isinstance(found, str) else None


def download_commands(names: Iterable[str]) -> str:
    """The commands that download models from the hub: "`hf download a/b` and `hf download c/d`"."""
    return " and ".join(f"`hf download {name}`" for name in names)


def check_files(folder: Path, *, processor: bool = False, pickled: bool = False) -> list[Path]:
    """Checks that all of a model's files are there.

    Args:
        folder: folder of the model.
        processor: whether it needs the settings of an image processor.
        pickled: whether its weights may be a PyTorch checkpoint instead of safetensors.

    Returns:
        Its weight files.

    Raises:
        WeightsError: some are missing; the message names them.
    """
    weights = _weights(folder, pickled)
    missing = [name for name in ("config.json", *weights) if not (folder / name).is_file()]
    for wanted in (_TOKENIZERS, _PROCESSORS) if processor else (_TOKENIZERS,):
        if not any(all((folder / name).is_file() for name in names) for names in wanted):
            missing += wanted[0]
    if missing:
        raise WeightsError(f"The folder {folder} lacks {', '.join(missing)}; get the files of this model again.")
    return [folder / name for name in weights]


def _weights(folder: Path, pickled: bool) -> list[str]:
    """The names of the expected weight files."""
    if not (folder / _INDEX).is_file():
        found = not (folder / _WEIGHTS).is_file() and pickled and (folder / _PICKLED).is_file()
        return [_PICKLED if found else _WEIGHTS]
    try:
        return sorted(set(json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise WeightsError(f"{folder / _INDEX} is damaged; get the files of this model again.") from None
