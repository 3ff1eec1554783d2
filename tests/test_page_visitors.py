"""`python -m benchmarks.page_visitors`: its visitors notice what is not theirs, and its figures are right.

`web_demo/test_simulated_visitors.py` sends one to a real page.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("httpx", reason="visitors of the page need httpx")
from benchmarks import page_visitors
from benchmarks.end_to_end import photo
from esg.support.process import return_memory

linux = pytest.mark.skipif(sys.platform != "linux", reason="the figures of processes are Linux's")


class Page:
    """A visitor whose page always answers with the same pictures."""

    def __init__(self, address: str) -> None:
        pass

    def upload(self, *_: Any) -> None:
        pass

    def do(self, *_: Any) -> None:
        pass

    def leave(self) -> None:
        pass


OWN, OTHER, EDITED = photo(203, 300, seed=100), photo(203, 300, seed=7), photo(203, 300, seed=8)  # of visitor 1


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ((OWN[..., 0], OWN, EDITED), None),
        ((OWN[..., 0], OTHER, EDITED), "another visitor's photo"),
        ((OWN[1:, :, 0], OWN, EDITED), "another visitor's photo or labels"),
        ((OWN[..., 0], OWN, OWN), "nothing was removed"),
    ],
)
def test_mixed_up_answers_are_noticed(answers: tuple, message: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter(answers)
    monkeypatch.setattr(page_visitors, "Visitor", Page)
    monkeypatch.setattr(page_visitors, "_saved", lambda *_: next(left))
    if message is None:
        assert len(page_visitors.visit("", 1, 1, 0)) == 1
    else:
        with pytest.raises(RuntimeError, match=message):
            page_visitors.visit("", 1, 1, 0)


@linux
def test_memory_and_cpu_time_of_a_process() -> None:
    return_memory()  # or the array could take what earlier tests have freed
    before = page_visitors.memory(os.getpid())
    held = np.ones(2**26, np.uint8)
    assert page_visitors.memory(os.getpid()) - before == pytest.approx(held.nbytes / 2**20, rel=0.2)
    assert page_visitors.computed(os.getpid()) == pytest.approx(sum(os.times()[:2]), abs=0.1)
