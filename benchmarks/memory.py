"""The most memory that a part of this process needs (Linux)."""

from __future__ import annotations

from pathlib import Path

from esg.support.process import return_memory


def start_peak() -> int:
    """Starts a new measurement of the peak: the bytes that this process has in memory now, without freed memory."""
    return_memory()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # sets the peak to the current resident size
    return _status("VmRSS")


def peak() -> int:
    """The most bytes that this process had in memory at any time since the last `start_peak`."""
    return _status("VmHWM")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024
