"""Recognising a file by its names and metadata."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from esg.models.gella.config import GellaConfig
from esg.models.gella.file_kind import check_whole, is_gella
from esg.models.gella.model import Gella
from esg.support.errors import WeightsError
from esg.support.weight_files import read_state_dict

NAME = "association.entity.weight"


@pytest.mark.parametrize(
    ("names", "metadata", "expected"),
    [
        ({NAME, "x"}, {}, True),
        ({f"gella.{NAME}"}, {}, True),
        ({"x"}, {"tokenizer": "{}"}, True),
        ({"x", "association.norm.weight"}, {"config": "{}", "preset": "gella-nano"}, False),
        (set(), {}, False),
    ],
)
def test_a_gella_is_known_by_its_association_or_its_tokenizer(
    names: set[str], metadata: dict[str, str], expected: bool
) -> None:
    assert is_gella(names, metadata) == expected


def test_the_name_that_tells_is_one_of_the_models(tiny_config: GellaConfig, tiny_gella: Path, tiny_model: Path) -> None:
    with torch.device("meta"):
        assert is_gella(Gella(tiny_config).state_dict(), {})
    assert is_gella(read_state_dict(tiny_gella)[0], {})
    assert not is_gella(*read_state_dict(tiny_model))


def test_missing_metadata_is_named() -> None:
    check_whole({NAME}, {"config": "{}", "tokenizer": "{}"}, "a.safetensors")
    with pytest.raises(WeightsError, match=r"^a\.safetensors holds .* but its metadata lack config and tokenizer;"):
        check_whole({NAME}, {}, "a.safetensors")
    with pytest.raises(WeightsError, match="its metadata lack tokenizer"):
        check_whole({NAME}, {"config": "{}"}, "a.safetensors")
    with pytest.raises(WeightsError, match=r"`esg train gella --out runs/mine --export FILE\.safetensors`"):
        check_whole({f"gella.{NAME}"}, {}, Path("runs/mine/checkpoint.pt"))
