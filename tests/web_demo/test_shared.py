"""What is selected in the browser, as it comes over the network."""

from __future__ import annotations

from typing import Any

import pytest

from esg import InputError
from web_demo.shared import Chosen, idle


def test_what_is_selected() -> None:
    assert Chosen.read({"selected": [1, 4], "shown": 7, "picture": 2}) == Chosen((1, 4), 7, 2)
    assert Chosen.read({"selected": [], "shown": 0, "picture": 0}) == Chosen((), 0, 0)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"selected": [1]},
        {"selected": [1], "shown": 1},
        {"selected": None, "shown": 1, "picture": 1},
        {"selected": ["x"], "shown": 1, "picture": 1},
        {"selected": [1], "shown": "all", "picture": 1},
        {"selected": [float("inf")], "shown": 1, "picture": 1},
    ],
)
def test_what_makes_no_sense_is_one_sentence(data: Any) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+reload it\.$"):
        Chosen.read(data)


def test_idle_is_always_news_to_the_browser() -> None:
    assert idle()["text"] == idle()["text"] == ""
    assert idle() != idle()
