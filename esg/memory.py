"""Lack of memory, by whatever name it comes."""

from __future__ import annotations


def is_out_of_memory(error: BaseException) -> bool:
    """Whether numpy or torch ran out of memory; torch says so by text alone on the CPU and on Apple's GPUs."""
    phrases = "out of memory", "can't allocate memory", "not enough memory"
    return isinstance(error, MemoryError) or any(phrase in str(error).lower() for phrase in phrases)
