"""The examples in docstrings run as written."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

import esg

MODULES = sorted({f"esg{home}" for home in esg._HOME.values()})


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = import_module(name)
    results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0
