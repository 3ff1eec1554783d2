from __future__ import annotations

import numpy as np
import pytest
import torch

from esg.support.memory import is_out_of_memory


@pytest.mark.parametrize(
    ("error", "lacking"),
    [
        (MemoryError(), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you …"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError(), False),
    ],
)
def test_it_comes_by_many_names(error: Exception, lacking: bool) -> None:
    assert is_out_of_memory(error) == lacking


def test_what_numpy_and_torch_really_say() -> None:
    for take in (lambda: np.empty(1 << 60, np.uint8), lambda: torch.empty(1 << 60, dtype=torch.uint8)):
        with pytest.raises((MemoryError, RuntimeError)) as lack:
            take()
        assert is_out_of_memory(lack.value)
