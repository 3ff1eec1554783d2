"""Compiles networks with `torch.compile`, and continues without it where that does not work."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger(__name__)

BACKEND = "inductor"
_FOLDER = "TORCHINDUCTOR_CACHE_DIR"  # PyTorch's variable; its own default is a temporary folder
_SHAPES = 64  # sizes of views that one process compiles for; PyTorch's own limit of 8 is two or three photos


class Compiler:
    """Compiles functions that belong together: if one of them cannot be compiled, all of them run as they are.

    A function is compiled when it is first called, and again for tensors of another shape. The compiled code is kept in
    the user's cache folder, or in `TORCHINDUCTOR_CACHE_DIR`.
    """

    def __init__(self) -> None:
        self.works = True

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, compiled."""
        compiled: Callable[..., Any] | None = None

        def run(*args: Any, **options: Any) -> Any:
            nonlocal compiled
            if self.works:
                try:
                    if compiled is None:
                        compiled = _compiled(function)
                    return compiled(*args, **options)
                except torch.cuda.OutOfMemoryError:
                    raise
                except (ImportError, OSError, RuntimeError) as error:
                    if not _is_of_compiling(error):
                        raise
                    self.works, compiled = False, None
                    log.warning(
                        "The network cannot be compiled here, so it runs uncompiled, with the same results (%s). "
                        "torch.compile needs Triton on NVIDIA GPUs, and a C++ compiler on CPUs.",
                        _reason(error),
                    )
            return function(*args, **options)

        return run


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    _keep_on_disk()
    try:
        import torch._dynamo.config as limits

        name = "recompile_limit" if hasattr(limits, "recompile_limit") else "cache_size_limit"  # before PyTorch 2.6
        setattr(limits, name, max(_SHAPES, getattr(limits, name)))
        return torch.compile(function, backend=BACKEND, dynamic=False)
    except (ImportError, OSError, RuntimeError) as error:  # a Python or a system that torch.compile does not support
        raise _NotHere(error) from None


class _NotHere(RuntimeError):
    """torch.compile does not support this Python or system at all."""


def _is_of_compiling(error: Exception) -> bool:
    """Whether an error comes from the compiler rather than from the network."""
    from torch._dynamo.exc import TorchDynamoException

    return isinstance(error, TorchDynamoException | _NotHere)


def _reason(error: Exception) -> str:
    """The first line that says more than that there was an error."""
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.endswith("raised:")), type(error).__name__)


def _keep_on_disk() -> None:
    """Makes PyTorch keep compiled code from one process to the next."""
    if _FOLDER in os.environ:
        return
    folder = Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache"), "esg", "compiled")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written to
        return
    os.environ[_FOLDER] = str(folder)
