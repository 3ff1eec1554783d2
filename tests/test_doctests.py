"""The examples in docstrings run as written."""

from __future__ import annotations

import doctest
from importlib import import_module
from types import FunctionType

import pytest

import esg

OTHERS = {
    "esg.data.captions",
    "esg.data.scenes.moving",
    "esg.data.problems",
    "esg.entities.label_arrays",
    "esg.entities.importing.reading",
    "esg.evaluation.identity",
    "esg.evaluation.narratives",
    "esg.evaluation.panoptic_narratives",
    "esg.evaluation.paper_texts",
    "esg.evaluation.wild",
    "esg.models.cropformer.clips",
    "esg.pictures.listing",
}
MODULES = sorted({f"esg{home}" for home in esg._HOME.values()} | OTHERS)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    module = import_module(name)
    results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.failed == 0


def test_every_public_function_has_an_example() -> None:
    without = {
        name
        for name in esg.__all__
        if isinstance(thing := getattr(esg, name), FunctionType) and ">>>" not in (thing.__doc__ or "")
    }
    assert without == {"download", "download_public", "stitch_into"}  # these need the network, or change their input
