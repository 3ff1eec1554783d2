"""Reads models of the diffusers library: whole folders, as on the Hugging Face hub, or single files, as in ComfyUI.

Everything is read from this machine, as safetensors, and code that comes with a model is never run. Only
`download=True` uses the network.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ...support.errors import Advice, EsgError, WeightsError
from ...support.files import at_home
from ...support.memory import is_out_of_memory
from ...support.weight_files import read_state_dict
from .hub import INDEX, cached_folder, explained_download, folder_of, reason_of, variant_of

_PICKLED = (".bin", ".ckpt", ".pt", ".pth")
_DTYPE_SINCE = {"diffusers": (0, 40), "transformers": (4, 56)}
_CONFIGS = ["*.json", "*/*.json", "*/*.txt", "*/*.model"]  # everything but the weights


def read_pipeline(model: str | Path, dtype: torch.dtype, *, download: bool = False) -> Any:
    """The inpainting pipeline of a model, on the CPU.

    Args:
        model: a folder with a `model_index.json`, a single .safetensors file with all parts of a model, or the name of
            a model on the Hugging Face hub, which is looked up in huggingface_hub's cache.
        dtype: dtype of the weights.
        download: whether to download what is missing: a model, or the configuration of a single file.

    Raises:
        WeightsError: the model is not on this machine, is pickled or damaged, or cannot inpaint.
        EsgError: diffusers is not installed.
    """
    with quiet_libraries():
        path = at_home(model)
        if os.path.isfile(path):  # which does not raise, as Path.is_file may
            return _read_file(path, dtype, download)
        folder = path if os.path.isdir(path) else folder_of(model, dtype, download)
        return _read_folder(folder, dtype)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silences the libraries' progress bars and warnings, which are meant for programmers, and restores them after."""
    from transformers.utils import logging as transformers_says

    try:
        import diffusers  # noqa: F401
        from diffusers.utils import logging as diffusers_says
    except ImportError as error:
        raise EsgError(
            f"Repainting with a diffusion model needs the library diffusers ({error}); install it with "
            "`pip install diffusers accelerate`, or ESG with `pip install esg[diffusion]`."
        ) from None
    both = transformers_says, diffusers_says
    before = [(says.get_verbosity(), says.is_progress_bar_enabled()) for says in both]
    try:
        for says in both:
            says.set_verbosity_error()
            says.disable_progress_bar()
        yield
    finally:
        for says, (verbosity, bars) in zip(both, before):
            says.set_verbosity(verbosity)
            if bars:
                says.enable_progress_bar()


# ------------------------------------------------------------------------------------------------------------- folders


def _read_folder(folder: Path, dtype: torch.dtype) -> Any:
    from diffusers import AutoPipelineForInpainting

    parts = _parts(folder)
    weights = (path.relative_to(folder).as_posix() for path in folder.glob("*/*.safetensors"))
    variant = variant_of(weights, dtype)
    with _damage(folder):
        networks = _networks(folder, parts, dtype, variant)
        return AutoPipelineForInpainting.from_pretrained(str(folder), local_files_only=True, **networks)


def _parts(folder: Path) -> dict[str, tuple[str, str]]:
    """The parts of a model with library and class; refuses parts that would run code from the folder."""
    from diffusers import pipelines

    index = _index_of(folder)
    if not isinstance(index.get("_class_name"), str):
        raise _own_code(folder)
    parts = {}
    for name, part in index.items():
        if not isinstance(part, list) or not all(isinstance(word, str) for word in part) or len(part) != 2:
            continue  # a setting, or a part that this model does not have
        library, kind = part
        place = folder / name
        if library not in ("diffusers", "transformers") and not hasattr(pipelines, library):
            raise _own_code(folder)
        if (place / f"{library}.py").exists():  # older diffusers prefer it to the library of that name
            raise _own_code(folder)
        if not place.is_dir():
            raise WeightsError(f"The folder {folder} lacks the part {name}; get the files of this model again.")
        parts[name] = (library, kind)
    return parts


def _networks(
    folder: Path, parts: dict[str, tuple[str, str]], dtype: torch.dtype, variant: str | None
) -> dict[str, Any]:
    """The parts with weights, checked for completeness: diffusers itself silently uses random values for missing ones.

    For example, weights saved by transformers 5 have names that transformers 4 does not know.
    """
    import diffusers
    import transformers

    libraries = {"diffusers": diffusers, "transformers": transformers}
    with_weights: tuple[type, ...] = (diffusers.ModelMixin, transformers.PreTrainedModel)
    networks = {}
    for name, (library, kind) in parts.items():
        made: Any = getattr(libraries.get(library) or getattr(diffusers.pipelines, library), kind, None)
        is_network = isinstance(made, type) and issubclass(made, with_weights)
        if not is_network:
            continue
        place = folder / name
        _check_weights(place)
        options: dict[str, Any] = {"use_safetensors": True, "local_files_only": True, **_in_precision(made, dtype)}
        if variant and any(place.glob(f"*.{variant}*.safetensors")):
            options["variant"] = variant
        networks[name], info = made.from_pretrained(str(place), output_loading_info=True, **options)
        if missing := sorted(info["missing_keys"]):
            raise WeightsError(
                f"The weights in {place} lack {len(missing)} that this version of {made.__module__.partition('.')[0]} "
                f"expects, such as {missing[0]}; get the files again, or another version."
            )
    return networks


def _check_weights(place: Path) -> None:
    if any(place.glob("*.safetensors")):
        return
    if pickled := sorted(file.name for file in place.iterdir() if file.suffix in _PICKLED):
        raise WeightsError(
            f"The weights in {place} are pickled ({pickled[0]}), and ESG never executes pickles; get the model as "
            "safetensors, or choose another one."
        )
    raise WeightsError(f"The folder {place} does not contain weights; get the files of this model again.")


def _index_of(folder: Path) -> dict[str, Any]:
    """The content of `model_index.json`, which lists the parts of a model."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(
            f"The folder {folder} is not a diffusers model, because {INDEX} is missing; give the folder that has it."
        ) from None
    except (OSError, ValueError):
        index = None
    if not isinstance(index, dict):
        raise WeightsError(f"{folder / INDEX} is damaged; get the files of this model again.")
    return index


def _own_code(folder: Path) -> WeightsError:
    return WeightsError(f"The model in {folder} needs custom code, which ESG does not run; choose another model.")


def _in_precision(made: type, dtype: torch.dtype) -> dict[str, torch.dtype]:
    """The dtype option of `from_pretrained`, whose name has changed in both libraries."""
    library = sys.modules[made.__module__.partition(".")[0]]
    version = tuple(map(int, library.__version__.split(".")[:2]))
    return {"dtype" if version >= _DTYPE_SINCE[library.__name__] else "torch_dtype": dtype}


@contextmanager
def _damage(place: Path) -> Iterator[None]:
    """Turns any diffusers error about a model into one sentence."""
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:  # of any type, since many models and libraries can raise it
        if is_out_of_memory(error):
            raise
        raise WeightsError(f"{place} cannot be loaded as an inpainting model ({reason_of(error)}).") from error


# -------------------------------------------------------------------------------------------------------- single files


def _read_file(path: Path, dtype: torch.dtype, download: bool) -> Any:
    """The pipeline of a single file, with the configuration of the hub model it derives from."""
    import diffusers
    from diffusers.loaders.single_file_utils import fetch_diffusers_config

    if path.suffix.lower() != ".safetensors":
        raise WeightsError(
            f"{path} is not a .safetensors file, and ESG never executes pickles; get the model as safetensors."
        )
    with _damage(path):
        parent = fetch_diffusers_config(read_state_dict(path)[0])["pretrained_model_name_or_path"]
    configs = cached_folder(parent)
    if configs is None and download:
        from huggingface_hub import snapshot_download

        with explained_download(parent):
            configs = Path(snapshot_download(parent, allow_patterns=_CONFIGS))
    if configs is None:
        raise WeightsError(
            f"{path} only holds weights, and their configuration, that of {parent} (a few MB), is not on this machine: "
            "give a diffusers folder instead.",
            Advice.DOWNLOAD,
        )
    kind = str(_index_of(configs).get("_class_name"))
    if "Inpaint" not in kind:
        kind = kind.replace("Pipeline", "InpaintPipeline")
    reader: Any = getattr(diffusers, kind, None)
    if not hasattr(reader, "from_single_file"):
        raise WeightsError(f"{path} is a model like {parent}, which cannot be read from a single file; give a folder.")
    with _damage(path):
        options = {"config": str(configs), "local_files_only": True, "torch_dtype": dtype}
        pipeline = reader.from_single_file(str(path), **options)
        for name, part in pipeline.components.items():
            if isinstance(part, torch.nn.Module) and any(tensor.is_meta for tensor in part.state_dict().values()):
                raise WeightsError(f"{path} lacks the weights of its part {name}; get the file again, or another one.")
        return pipeline
