"""Settings of the process that computes: how its threads wait, and how much freed memory it keeps."""

from __future__ import annotations

import ctypes
import os
import sys

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # numbers of the options in glibc's malloc.h


def share_cores() -> None:
    """Makes PyTorch's threads sleep soon when they wait for each other, unless the environment says something else.

    PyTorch divides every operation among its threads. With GNU's OpenMP, which it uses on Linux, threads that are done
    keep their cores busy until all are. Next to another program that wants these cores, a photo then takes up to ten
    times as long. After 1,000 rounds of waiting, as OpenMP does by itself if there are more threads than cores, they
    sleep. On idle cores, this costs nothing that could be measured.

    It has no effect once PyTorch has been imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def keep_memory() -> None:
    """Makes GNU's memory allocator keep up to 512 MB of freed memory for the next operation.

    A network allocates and frees many megabytes in each layer. By default, glibc returns them to Linux at once and asks
    for them again, and Linux fills them with zeros: a quarter of the CPU time of `cropformer-nano`. Blocks of 32 MB and
    more, and other systems, are not affected.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_MMAP_THRESHOLD, 2**25)  # the largest value that all versions accept; otherwise it would adapt
        libc.mallopt(_TRIM_THRESHOLD, 2**29)


def return_memory() -> None:
    """Returns freed memory that `keep_memory` would keep to the operating system."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
