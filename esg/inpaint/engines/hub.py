"""Diffusers models on the Hugging Face hub: found in its cache on this machine, or downloaded on request."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ...support.errors import Advice, WeightsError
from ...support.files import at_home

INDEX = "model_index.json"  # every diffusers folder has it


def folder_of(name: str | Path, dtype: torch.dtype, download: bool) -> Path:
    """The folder of the model of that name.

    Args:
        name: name on the hub.
        dtype: dtype of the weights; the hub may have several.
        download: whether to download missing files.

    Raises:
        WeightsError: it is not on this machine, or cannot be downloaded.
    """
    cached = cached_folder(name)
    if download:
        try:
            return _download(str(name), dtype)
        except WeightsError:
            if cached is None:
                raise  # otherwise, offline, use the files that are here
    if cached is None:
        raise WeightsError(
            f"{name} is not on this machine: get it with `hf download {name}`, or give the folder or the .safetensors "
            "file that holds it.",
            Advice.DOWNLOAD,
        )
    return cached


def place_of(model: str | Path) -> Path | None:
    """The folder or file of a model on this machine, or else `cached_folder`; the network is not used.

    Raises:
        WeightsError: the folder or file does not exist, and it is not a valid name on the hub.
    """
    path = at_home(model)
    return path if os.path.exists(path) else cached_folder(model)


def cached_folder(name: str | Path) -> Path | None:
    """The folder of a model in huggingface_hub's cache, perhaps incomplete; None if there is none.

    Raises:
        WeightsError: it is not a valid name on the hub.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    missing = WeightsError(
        f"The folder or file {name} does not exist, and it is not a valid name for a model on the hub."
    )
    if isinstance(name, Path) or name.lower().endswith(".safetensors"):
        raise missing
    try:
        found = try_to_load_from_cache(name, INDEX, cache_dir=constants.HF_HUB_CACHE)
    except ValueError:
        raise missing from None
    return Path(found).parent if isinstance(found, str) else None


def _download(name: str, dtype: torch.dtype) -> Path:
    """Downloads a model's missing files; the progress bar is huggingface_hub's own."""
    from diffusers import DiffusionPipeline
    from huggingface_hub import HfApi

    with explained_download(name):
        weights = [file for file in HfApi().list_repo_files(name) if file.endswith(".safetensors") and "/" in file]
        return Path(DiffusionPipeline.download(name, use_safetensors=True, variant=variant_of(weights, dtype)))


@contextmanager
def explained_download(name: str) -> Iterator[None]:
    """Explains in one sentence why a model cannot be downloaded."""
    try:
        yield
    except Exception as error:  # huggingface_hub's, requests', httpx's or diffusers', depending on their versions
        raise WeightsError(
            f"{name} cannot be downloaded ({reason_of(error)}); check its name, the network and HF_HUB_OFFLINE, and if "
            f"it has terms, accept them on https://huggingface.co/{name} and log in with `hf auth login`."
        ) from error


def variant_of(weights: Iterable[str], dtype: torch.dtype) -> str | None:
    """The variant of a model's files to read: fp16, if that dtype is requested or some parts have nothing else."""
    half: set[str] = set()
    whole: set[str] = set()
    for name in weights:
        (half if ".fp16" in name else whole).add(name.rpartition("/")[0])
    return "fp16" if half and (dtype == torch.float16 or not half <= whole) else None


def reason_of(error: Exception) -> str:
    """An error message in one line, shortened."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
