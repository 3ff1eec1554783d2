"""Recognises out-of-memory errors, whatever their type."""

from __future__ import annotations


def is_out_of_memory(error: BaseException) -> bool:
    """Whether numpy or torch ran out of memory; on the CPU and Apple's GPUs, torch says so only in the message."""
    phrases = "out of memory", "can't allocate memory", "not enough memory"
    return isinstance(error, MemoryError) or any(phrase in str(error).lower() for phrase in phrases)
