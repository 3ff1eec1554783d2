"""`esg doctor`: a report that says what is there and what is missing."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pytest
import torch

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
    assert "without xformers: memory-efficient attention on NVIDIA GPUs (pip install 'xformers', or the extra" in text
    assert "without ray: esg batch" in text


def test_a_gpu_and_its_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        name, total_memory = "A GPU", 8 * 2**30

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: Properties)
    monkeypatch.setattr(attention, "has_xformers", lambda: True)
    lines = doctor._devices()
    assert "  cuda:0: A GPU, 8 GiB" in lines
    assert any(line.startswith("  attention auto on cuda:0: xformers") for line in lines)
    assert any(line.startswith("  attention auto on cpu: PyTorch's own") for line in lines)
    monkeypatch.setattr(attention, "has_xformers", lambda: False)
    assert any("with xformers (pip install xformers)" in line for line in doctor._devices())


def test_what_compiles_the_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    there = {"g++": "/usr/bin/g++"}
    monkeypatch.setattr(doctor.shutil, "which", there.get)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    assert doctor._compiler("cpu") == "/usr/bin/g++"
    assert doctor._compiler("cuda:0").startswith("needs Triton")
    there.clear()
    assert doctor._compiler("cpu") == "needs a C++ compiler"
