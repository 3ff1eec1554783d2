from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from esg.support import compiling
from esg.support.compiling import Compiler


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test compiles its functions again, into a folder of its own."""
    torch.compiler.reset()  # also sets the variable
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def halved(x: Tensor) -> Tensor:
    return x.exp() / 2


@pytest.mark.slow
def test_compiled_code_is_kept_in_the_cache_folder_of_the_user(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("needs g++, with which torch.compile compiles for the CPU")
    x = torch.randn(2, 9)
    with torch.inference_mode():
        assert torch.allclose(Compiler()(halved)(x), halved(x), atol=1e-6)
    assert list((tmp_path / "esg" / "compiled").rglob("*.cpp"))


def test_a_folder_that_the_user_chose_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "mine"))
    monkeypatch.setattr(compiling, "BACKEND", "eager")
    assert torch.equal(Compiler()(halved)(torch.zeros(3)), torch.full((3,), 0.5))
    assert not (tmp_path / "esg").exists()


def test_without_a_compiler_everything_runs_as_it_is_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = []

    def no_compiler(*graph: object) -> None:
        tried.append(graph)
        raise FileNotFoundError("g++")

    monkeypatch.setattr(compiling, "BACKEND", no_compiler)
    compiler = Compiler()
    first, second = compiler(halved), compiler(torch.sigmoid)
    with caplog.at_level(logging.WARNING, logger="esg"):
        for _ in range(2):
            assert torch.equal(first(torch.zeros(3)), torch.full((3,), 0.5))
            assert torch.equal(second(torch.zeros(3)), torch.full((3,), 0.5))
    assert len(tried) == 1
    (record,) = caplog.records
    assert record.message.startswith("The network cannot be compiled here, so it runs uncompiled")
    assert "g++" in record.message


def test_an_error_of_the_network_is_not_taken_for_one_of_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(x: Tensor) -> Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(compiling, "_compiled", lambda function: function)
    compiler = Compiler()
    with pytest.raises(torch.cuda.OutOfMemoryError):
        compiler(full)(torch.zeros(3))
    assert compiler.works
