"""Threads that share the processor with other programs."""

from __future__ import annotations

import os


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
