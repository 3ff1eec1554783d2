"""Reads weight files safely: code in a pickle is never executed."""

from __future__ import annotations

import contextlib
import pickle
import pickletools
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from .errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor


def read_state_dict(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads the tensors of a weight file to the CPU, without ever running code that the file may contain.

    The first bytes tell the file type: safetensors, or the output of `torch.save` (old and new format), which is read
    with `weights_only=True` and only for tensors and plain NumPy arrays. The dictionary may be under "model" or
    "state_dict"; for the checkpoint of a training run, the averaged weights under "ema" are used. The prefix "module."
    that DistributedDataParallel adds to all names is removed.

    Returns:
        The tensors by name, and the metadata of a safetensors file (empty for others).

    Raises:
        WeightsError: the file is missing, damaged, is not a weight file, contains more than weights, or holds tensors
            that are not plain real numbers.
    """
    import torch

    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}).") from error
    if not start:
        raise WeightsError(f"{path} is empty; download it again.")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"{path} is a Git LFS pointer, not the weights; run `git lfs pull`, or download the file itself."
        )
    if start.lstrip().startswith(b"<"):
        raise WeightsError(f"{path} is a web page, not the weights; log in on that site and download the file itself.")
    if start[8:9] == b"{":  # after the length of the header, which can begin with any byte
        tensors, metadata = _read_safetensors(path)
    elif start.startswith((b"PK\x03\x04", b"\x80")):
        tensors, metadata = _read_torch(path, zipped=start.startswith(b"PK")), {}
    else:
        raise WeightsError(f"{path} is neither a safetensors file nor a PyTorch checkpoint.")
    for name, value in tensors.items():
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_complex() or value.is_quantized:
            raise WeightsError(
                f"{path} holds {name} in an unsupported form (sparse, quantized, complex, or without its values); "
                "save it as a plain tensor."
            )
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors, metadata


def check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raises WeightsError if a tensor contains NaN or infinity, for example after a training run that diverged."""
    for name, value in tensors.items():
        if not value.is_meta and not value.isfinite().all():
            raise WeightsError(f"{source} holds NaN or infinity in {name}; use other weights.")


def read_metadata(path: str | Path) -> dict[str, str]:
    """The metadata of a safetensors file; nothing else of it is read.

    Raises:
        WeightsError: the file is missing, damaged, or not a safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as a safetensors file ({error}).") from error


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is damaged or incomplete ({error}); download it again.") from error


def _read_torch(path: Path, *, zipped: bool) -> dict[str, Tensor]:
    import numpy as np
    import torch

    try:
        with _plain_arrays_allowed():
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError) as error:
        asks_for = re.search(r"unsupported GLOBAL:? (?:GLOBAL )?(\S+)", str(error), re.IGNORECASE)
        if asks_for:
            raise WeightsError(
                f"{path} contains more than weights (a pickle that asks for {asks_for[1]} and could run code) and was "
                "not loaded; get it from a source that you trust, if possible as safetensors."
            ) from error
        other = _other_program(path, zipped=zipped)
        if other:
            raise WeightsError(
                f"{path} is {other} and cannot be read as weights; get them as safetensors, or as written by "
                "torch.save."
            ) from error
        raise WeightsError(
            f"{path} is damaged or incomplete and cannot be read as weights; download it again."
        ) from error
    if isinstance(content, dict) and {"ema", "optimizers", "step"} <= content.keys():  # a checkpoint of `esg train`
        # Without the category head, which helps in training but is not part of a CropFormer.
        content = {key: value for key, value in content["ema"].items() if not str(key).startswith("readout.")}
    for wrapper in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a dictionary of tensors.")
    arrays = {key: torch.from_numpy(value) for key, value in content.items() if isinstance(value, np.ndarray)}
    tensors = {**{key: value for key, value in content.items() if isinstance(value, torch.Tensor)}, **arrays}
    if not tensors:
        raise WeightsError(f"{path} does not contain any tensors.")
    return {str(key): value for key, value in tensors.items()}


def _other_program(path: Path, *, zipped: bool) -> str | None:
    """Describes an intact file that is not a state dict, as far as possible without running it."""
    try:
        if zipped:
            with zipfile.ZipFile(path) as archive:
                scripted = any(PurePosixPath(name).name == "constants.pkl" for name in archive.namelist())
            return "a program in TorchScript" if scripted else None
        with path.open("rb") as file:
            codes = [code.name for code, _, _ in pickletools.genops(file)]
    except (zipfile.BadZipFile, OSError, ValueError, EOFError):
        return None
    # Old `torch.save` files begin with a pickle that is a single number.
    return "a plain pickle" if len(codes) > 3 else None


def _plain_arrays_allowed() -> contextlib.AbstractContextManager[None]:
    """Lets `torch.load` also rebuild NumPy arrays of numbers, which detectron2 puts into some checkpoints.

    torch supports this since 2.6, including the names of NumPy 1; older versions refuse such a file.
    """
    import numpy as np
    import torch

    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 6):
        return contextlib.nullcontext()
    numbers = "?", "u1", "i1", "i2", "i4", "i8", "f2", "f4", "f8"
    rebuild = np.zeros(0).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    allowed: list[Any] = [np.ndarray, np.dtype, *(type(np.dtype(number)) for number in numbers)]
    for module in "numpy.core.multiarray", "numpy._core.multiarray":
        allowed += [(rebuild, f"{module}._reconstruct"), (scalar, f"{module}.scalar")]
    return torch.serialization.safe_globals(allowed)
