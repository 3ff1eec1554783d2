"""`esg doctor`: a report that says what is there and what is missing."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from esg.cli import doctor
from esg.support import attention

Run = Callable[..., Any]


def test_the_report(esg: Run) -> None:
    result = esg("doctor")
    assert result.status == 0
    text = "\n".join(result.out)
    assert f"Python {platform.python_version()}" in result.out[0]
    assert f"torch {version('torch')}" in text
    assert "device auto is " in text
    assert "cropformer-nano, gella-nano" in text


def test_what_is_missing_is_said_with_its_purpose(esg: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(package: str) -> str:
        if package in ("xformers", "ray"):
            raise PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(doctor, "version", none)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    text = "\n".join(esg("doctor").out)
    assert (
        "  xformers is not installed; it is for memory-efficient attention on NVIDIA GPUs (pip install xformers, or "
        "the extra esg[xformers])\n"
    ) in text
    assert "  ray is not installed; it is for `esg batch` (pip install ray, or the extra esg[batch])\n" in text


def test_what_is_there_is_not_called_missing(esg: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda package: "1.2")
    text = "\n".join(esg("doctor").out)
    assert "bitsandbytes 1.2" in text
    assert "is not installed" not in text


def test_the_extras_bring_what_the_report_says(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    brought = {
        (re.split(r"[\[>]", requirement)[0], extra)
        for extra, requirements in project["optional-dependencies"].items()
        if extra not in ("docs", "test")  # for developers
        for requirement in requirements
    }
    assert {package for package, _ in brought} <= set(doctor._OPTIONAL)
    said = {(package, extra) for package, (_, extra) in doctor._OPTIONAL.items()}
    assert said - brought == {("bitsandbytes", None), ("pyarrow", "batch")}  # pyarrow comes with ray[data]


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a GPU were there."""

    class Properties:
        name, total_memory = "A GPU", 8 * 2**30

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: Properties)


@pytest.mark.usefixtures("a_gpu")
def test_a_gpu_and_its_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere = "for CropFormer and GELLA, and for CLIP, language and diffusion models that support it"
    monkeypatch.setattr(attention, "has_xformers", lambda: True)
    lines = doctor._devices()
    assert "  cuda:0: A GPU, 8 GiB" in lines
    assert f"  attention auto on cuda:0: xformers {everywhere}" in lines
    assert f"  attention auto on cpu: PyTorch's own (sdpa) {everywhere}" in lines
    monkeypatch.setattr(attention, "has_xformers", lambda: False)
    assert f"  attention auto on cuda:0: PyTorch's own (sdpa) {everywhere}" in doctor._devices()


@pytest.mark.usefixtures("a_gpu")
def test_a_transformers_that_cannot_use_xformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "has_xformers", lambda: True)
    monkeypatch.setitem(sys.modules, "transformers", ModuleType("transformers"))  # without AttentionInterface
    assert doctor._attention("cuda:0") == (
        "xformers for CropFormer and GELLA, and for diffusion models that support it; PyTorch's own (sdpa) for CLIP "
        f"and language models, also GELLA's, because transformers {version('transformers')} cannot use xformers"
    )


@pytest.fixture
def install_xformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Installs a package xformers whose attention has this code."""

    def install(code: str) -> None:
        (tmp_path / "xformers").mkdir()
        (tmp_path / "xformers/__init__.py").write_text("")
        (tmp_path / "xformers/ops.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        for name in ("xformers", "xformers.ops"):
            monkeypatch.setitem(sys.modules, name, None)  # so that the test leaves it as it was
            del sys.modules[name]

    attention.has_xformers.cache_clear()
    yield install
    attention.has_xformers.cache_clear()


@pytest.mark.usefixtures("a_gpu")
def test_why_an_xformers_cannot_be_used(install_xformers: Callable[[str], None]) -> None:
    install_xformers('raise OSError("libcudart.so.12: not found\\nmore")')
    lines = doctor._devices()
    assert "  xformers is installed but not used: it cannot be imported (OSError: libcudart.so.12: not found)" in lines
    assert any(line.startswith("  attention auto on cuda:0: PyTorch's own") for line in lines)


def test_xformers_without_cuda(install_xformers: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    install_xformers("")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = "  xformers is installed but not used: it needs CUDA, which this PyTorch cannot use here"
    assert line in doctor._devices()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert doctor._unused_xformers() is None


@pytest.mark.parametrize(("number", "words"), [(1, "1 core, PyTorch uses 1 thread)"), (2, "2 cores, PyTorch uses 2 t")])
def test_cores_and_threads(number: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.os, "cpu_count", lambda: number)
    monkeypatch.setattr(torch, "get_num_threads", lambda: number)
    assert words in doctor._devices()[0]


def test_what_compiles_the_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    there = {"g++": "/usr/bin/g++"}
    monkeypatch.setattr(doctor.shutil, "which", there.get)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    assert doctor._compiler("cpu") == "/usr/bin/g++"
    assert doctor._compiler("cuda:0").startswith("needs Triton")
    there.clear()
    assert doctor._compiler("cpu") == "needs a C++ compiler"
