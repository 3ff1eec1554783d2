"""Settings of this process: how its threads wait, and how much freed memory it keeps."""

from __future__ import annotations

import ctypes
import os
import sys

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # numbers of the options in glibc's malloc.h


def share_cores() -> None:
    """Makes PyTorch's threads sleep when they wait for each other, unless an environment variable says otherwise.

    PyTorch divides every operation among its threads. With GNU's OpenMP, which it uses on Linux, threads that finish
    early keep their cores busy until all have finished. If another program wants these cores, a photo can take ten
    times as long. This makes threads sleep after 1,000 rounds of waiting, as OpenMP does by default if there are more
    threads than cores. On idle cores, no cost could be measured.

    It has no effect once PyTorch has been imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def keep_memory() -> None:
    """Makes GNU's memory allocator keep up to 512 MB of freed memory for the next operation.

    A network allocates and frees many megabytes in each layer. By default, glibc returns them to Linux at once and asks
    for them again, and Linux fills them with zeros. This took a quarter of the CPU time of `cropformer-nano`. Blocks of
    32 MB and more, and other systems, are not affected.
    """
    if (libc := _glibc()) is not None:
        libc.mallopt(_MMAP_THRESHOLD, 2**25)  # the largest that all versions accept; unset, glibc adapts it
        libc.mallopt(_TRIM_THRESHOLD, 2**29)


def return_memory() -> None:
    """Returns to the operating system the freed memory that `keep_memory` makes the process keep."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
