"""Reading weight files safely: what a pickle in them would run is never run."""

from __future__ import annotations

import contextlib
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor


def read_state_dict(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads the tensors of a weight file to the CPU, never running code that the file may carry.

    The kind of file is told by its first bytes: safetensors, or what `torch.save` writes (old and new format), which
    is read with `weights_only=True` and only for tensors and plain NumPy arrays. The dictionary may lie under "model"
    or "state_dict".

    Returns:
        The tensors by name, and the metadata of a safetensors file (empty for others).

    Raises:
        WeightsError: the file is missing, damaged, no weights, or carries more than weights.
    """
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
            f"{path} is a Git LFS pointer and not the weights; run `git lfs pull`, or download the file itself."
        )
    if start.lstrip().startswith(b"<"):
        raise WeightsError(
            f"{path} is a web page and not the weights; log in on the page and download the file itself."
        )
    if start[8:9] == b"{":  # after the length of the header, whose first byte may be any
        return _read_safetensors(path)
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return _read_torch(path, zipped=start.startswith(b"PK")), {}
    raise WeightsError(f"{path} is neither a safetensors file nor a PyTorch checkpoint.")


def read_metadata(path: str | Path) -> dict[str, str]:
    """What a safetensors file says of itself; nothing else of it is read.

    Raises:
        WeightsError: the file is missing or damaged, or no safetensors file.
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
                f"{path} carries more than weights (a pickle that asks for {asks_for[1]} and could run code) and was "
                "not loaded; get it from a source that you trust, as safetensors if there is one."
            ) from error
        raise WeightsError(
            f"{path} is damaged or incomplete, and not readable as weights; download it again."
        ) from error
    for wrapper in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__} and no dictionary of tensors.")
    arrays = {key: torch.from_numpy(value) for key, value in content.items() if isinstance(value, np.ndarray)}
    tensors = {**{key: value for key, value in content.items() if isinstance(value, torch.Tensor)}, **arrays}
    if not tensors:
        raise WeightsError(f"{path} holds no tensors.")
    return {str(key): value for key, value in tensors.items()}


def _plain_arrays_allowed() -> contextlib.AbstractContextManager[None]:
    """Lets `torch.load` also rebuild NumPy arrays of numbers, which detectron2 puts into some checkpoints.

    torch can do so from 2.6 on, which also understands the names of NumPy 1; older ones refuse such a file.
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
