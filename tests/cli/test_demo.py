"""`esg demo` starts a page that the core does not know."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from esg.cli import demo

Run = Callable[..., Any]


def test_demo(esg: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setitem(sys.modules, "web_demo", SimpleNamespace(launch=lambda **options: calls.append(options)))
    assert esg("demo", "--port", 8000, "--no-browser").status == 0
    (options,) = calls
    assert (options["host"], options["port"], options["open_browser"]) == ("127.0.0.1", 8000, False)


def test_options_reach_the_page(esg: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setitem(sys.modules, "web_demo", SimpleNamespace(launch=lambda **options: calls.append(options)))
    models = ["--model", "a", "--grounder", "b", "--inpainter", "c"]
    limits = ["--max-pixels", 9, "--max-size-mb", 8, "--max-visitor-mb", 9, "--auth", "anna:my:secret", "--share"]
    proxy = ["--allowed-host", "a.example", "--allowed-host", "b.example", "--root-path", "/esg"]
    machine = ["--device", "cuda:1", "--precision", "bf16", "--attention", "eager", "--compile"]
    assert esg("demo", *models, *limits, *proxy, *machine).status == 0
    (options,) = calls
    told = {name: options[name] for name in ("model", "grounder", "inpainter", "max_pixels", "max_size_mb", "share")}
    assert told == {"model": "a", "grounder": "b", "inpainter": "c", "max_pixels": 9, "max_size_mb": 8, "share": True}
    put = {name: options[name] for name in ("device", "precision", "attention", "compile")}
    assert put == {"device": "cuda:1", "precision": "bf16", "attention": "eager", "compile": True}
    assert options["auth"] == ("anna", "my:secret")
    assert options["max_visitor_mb"] == 9
    assert (options["allowed_hosts"], options["root_path"]) == (["a.example", "b.example"], "/esg")


@pytest.mark.parametrize("wrong", ["anna", "anna:", ":secret", ""])
def test_an_invalid_password_is_refused(esg: Run, wrong: str) -> None:
    esg("demo", "--auth", wrong).refused("--auth", "USER:PASSWORD")


def test_demo_where_the_page_is_not_installed(esg: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "entry_points", lambda **_: ())
    esg("demo").refused('pip install "esg[demo]"')
