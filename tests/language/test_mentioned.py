from __future__ import annotations

import pytest

from esg.language.mentioned import names_mentioned


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Two puppies and the TV on a dining table", {"dog", "television", "dining table"}),
        ("People walk past wine glasses.", {"person", "wine glass"}),
        ("catalogue of carts", set()),
    ],
)
def test_names_that_a_text_mentions(text: str, names: set[str]) -> None:
    assert names_mentioned(text) == names
