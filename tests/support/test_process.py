"""Tests for `esg.support.process`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

from esg.support.process import share_cores


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)


def test_waiting_threads_sleep_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {})
    share_cores()
    assert os.environ == {"GOMP_SPINCOUNT": "1000"}


@pytest.mark.parametrize("given", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_the_user_decides(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    share_cores()
    assert os.environ == given


@pytest.mark.parametrize(
    "start",
    ["from esg.cli.main import main; main(['doctor'])", "import runpy; runpy.run_path('space/app.py', run_name='app')"],
)
def test_it_comes_before_torch(start: str, root: object) -> None:
    # Nothing sees the environment that OpenMP read, so this looks when `torch` is first searched for.
    code = f"""
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            sys.meta_path.remove(self)
            print("torch after", os.environ.get("GOMP_SPINCOUNT"))
sys.meta_path.insert(0, Watch())
{start}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=PATIENCE)
    assert "torch after 1000" in done.stdout, done.stderr


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's own figures")
def test_freed_memory_is_kept_until_it_is_returned() -> None:
    code = """
import ctypes, resource, sys
from esg.support.process import _glibc, keep_memory, return_memory
if _glibc() is None: sys.exit("no glibc")
libc = _glibc()
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def megabytes(): return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
def use():
    blocks = [libc.malloc(2**24) for _ in range(8)]
    for block in blocks: ctypes.memset(block, 1, 2**24)
    for block in blocks: libc.free(block)
keep_memory()
before = megabytes()
use()
kept = megabytes()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults < 1000, kept - before > 100)
return_memory()
print(megabytes() - before < 30)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    if "no glibc" in done.stderr:
        pytest.skip("another C library")
    assert done.stdout.split() == ["True"] * 3, done.stdout + done.stderr
