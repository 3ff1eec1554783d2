"""Recognises out-of-memory errors, whatever their type, and explains them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import OutOfMemory


def is_out_of_memory(error: BaseException) -> bool:
    """Whether numpy or torch ran out of memory; on the CPU and Apple's GPUs, torch says so only in the message."""
    phrases = "out of memory", "can't allocate memory", "not enough memory"
    return isinstance(error, MemoryError | OutOfMemory) or any(phrase in str(error).lower() for phrase in phrases)


@contextmanager
def enough_memory(message: str) -> Iterator[None]:
    """Turns an out-of-memory error into OutOfMemory with this message."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(message) from None
