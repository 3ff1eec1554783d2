"""`esg demo` starts a page that the core knows nothing of."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from esg.commands import demo

Run = Callable[..., Any]


def test_demo(esg: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setitem(sys.modules, "web_demo", SimpleNamespace(launch=lambda **options: calls.append(options)))
    assert esg("demo", "--port", 8000, "--no-browser").status == 0
    (options,) = calls
    assert (options["host"], options["port"], options["open_browser"]) == ("127.0.0.1", 8000, False)


def test_demo_where_the_page_is_not_installed(esg: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "entry_points", lambda **_: ())
    esg("demo").refused('pip install "esg[demo]"')
