"""Tensors that are made when they are needed are, to torch and NumPy, like any others."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

VALUES = torch.arange(24.0).reshape(2, 3, 4)


@pytest.fixture
def made() -> list[int]:
    return []


@pytest.fixture
def later(part: Callable[[str], Any], made: list[int]) -> Any:
    def make() -> torch.Tensor:
        made.append(1)
        return VALUES.clone()

    return part("later").Later(VALUES.shape, make)


def test_what_is_known_before_does_not_make_it(later: Any, made: list[int]) -> None:
    assert isinstance(later, torch.Tensor)
    assert (later.shape, later.ndim, len(later), later.size(1)) == ((2, 3, 4), 3, 2, 3)
    assert (later.dtype, later.device.type, later.requires_grad) == (torch.float32, "cpu", False)
    assert later.numel() * later.element_size() == later.nbytes == 96
    assert repr(later) == "Later([2, 3, 4])"
    assert not made


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: x + 0,
        lambda x: x[:],
        lambda x: x.cpu().detach().float(),
        lambda x: torch.stack(list(x)),
        lambda x: torch.cat([x[:1], x[1:]]),
        lambda x: torch.cat([x, x])[:2],
        lambda x: torch.where(x > 3, x, x),
        lambda x: torch.nn.functional.interpolate(x[None], size=(3, 4))[0],
        lambda x: torch.nn.functional.interpolate(input=x.unsqueeze(0), scale_factor=1)[0],
        lambda x: torch.zeros(2, 3, 4).copy_(x),
        lambda x: torch.zeros(2, 3, 4) + x,
        lambda x: x.reshape((-1, 1, 3, 4)).movedim(1, -1).expand(-1, -1, -1, 3)[..., 0],
        lambda x: copy.deepcopy(x),
        lambda x: pickle.loads(pickle.dumps(x)),  # noqa: S301 (its own)
        lambda x: torch.tensor(x.tolist()),
    ],
)
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_every_use_makes_it_once(later: Any, made: list[int], use: Callable[[Any], Any], mode: Any) -> None:
    with mode():
        for _ in range(2):
            found = use(later)
            assert type(found) in (torch.Tensor, np.ndarray)
            assert np.array_equal(np.asarray(found), VALUES.numpy())
    assert made == [1]


def test_who_needs_what_cannot_be_made_gets_the_error(part: Callable[[str], Any]) -> None:
    def make() -> torch.Tensor:
        raise MemoryError("too large")

    later = part("later").Later((9, 9), make)
    for _ in range(2):
        with pytest.raises(MemoryError, match="too large"):
            later.sum()
