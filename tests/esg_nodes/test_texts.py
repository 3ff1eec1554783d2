"""What ComfyUI shows besides the nodes: help pages and translations agree with the nodes' own definitions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCALES = sorted(path.name for path in (ROOT / "locales").iterdir())
MAKE_ANEW = "run `python tools/make_node_texts.py`"


@pytest.fixture(scope="module")
def maker(script: Callable[[str], ModuleType]) -> ModuleType:
    """The script that makes them."""
    return script("make_node_texts")


def read(locale: str, name: str) -> Any:
    return json.loads((ROOT / "locales" / locale / name).read_text(encoding="utf-8"))


def leaves(texts: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every text with the keys that lead to it."""
    if not isinstance(texts, dict):
        yield path, texts
        return
    for key, value in texts.items():
        yield from leaves(value, (*path, key))


def test_english_is_what_the_nodes_say(maker: ModuleType, pack: ModuleType) -> None:
    assert read("en", "nodeDefs.json") == maker.without_templates(maker.node_texts(pack)), MAKE_ANEW
    assert read("en", "main.json") == maker.main_texts(pack), MAKE_ANEW


def test_there_is_another_language_that_comfyui_offers() -> None:
    offered = {"en", "zh", "zh-TW", "ru", "ja", "ko", "fr", "es", "ar", "tr", "pt-BR", "fa", "he"}
    assert {"en"} < {*LOCALES} <= offered


@pytest.mark.parametrize("locale", [name for name in LOCALES if name != "en"])
def test_every_node_input_and_output_is_translated(maker: ModuleType, pack: ModuleType, locale: str) -> None:
    for name, expected in (("nodeDefs.json", maker.node_texts(pack)), ("main.json", maker.main_texts(pack))):
        texts, english = dict(leaves(read(locale, name))), dict(leaves(expected))
        assert texts.keys() == english.keys()
        for path, words in texts.items():
            assert isinstance(words, str), path
            assert words.strip(), path
            assert path[-1] not in ("description", "tooltip") or words != english[path], path


@pytest.mark.parametrize("locale", LOCALES)
def test_no_text_means_something_to_the_page_that_shows_it(maker: ModuleType, locale: str) -> None:
    """Translations are templates there: {x} is a value, a|b are singular and plural, @:x is another text."""
    for path, words in leaves(read(locale, "nodeDefs.json")):
        assert not maker.SPECIAL & set(words), path


def test_texts_that_cannot_be_templates_are_left_to_the_nodes(maker: ModuleType) -> None:
    texts = {"a": {"name": "a", "tooltip": "as {name}"}, "b": "x | y", "c": "plain"}
    assert maker.without_templates(texts) == {"a": {"name": "a"}, "c": "plain"}


def test_every_node_has_a_help_page_and_every_page_a_node(maker: ModuleType, pack: ModuleType) -> None:
    assert {path.stem for path in maker.PAGES.glob("*.md")} == {*pack.NODE_CLASS_MAPPINGS}


def test_help_pages_say_what_the_nodes_say(maker: ModuleType, pack: ModuleType) -> None:
    for name, node in pack.NODE_CLASS_MAPPINGS.items():
        page = (maker.PAGES / f"{name}.md").read_text(encoding="utf-8")
        assert page == maker.with_explained(page, node), f"{name}: {MAKE_ANEW}"
        title = pack.NODE_DISPLAY_NAME_MAPPINGS[name].removesuffix(" (ESG)")
        assert page.startswith(f"# {title}\n"), name
        example = page.partition("## Example\n")[2]
        assert "→" in example or title in example, name


def test_help_pages_have_small_pictures_that_are_there(maker: ModuleType, pack: ModuleType) -> None:
    shown = set()
    for name in pack.NODE_CLASS_MAPPINGS:
        page = (maker.PAGES / f"{name}.md").read_text(encoding="utf-8")
        pictures = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", page)
        assert pictures, name
        shown |= {maker.PAGES / path for _, path in pictures}
    assert shown == {*(maker.PAGES / "pictures").iterdir()}
    for path in shown:
        assert path.stat().st_size <= 60 << 10, path


def test_help_tells_kind_default_and_limits(maker: ModuleType) -> None:
    class Node:
        RETURN_TYPES = ("MASK",)
        RETURN_NAMES = ("masks",)
        OUTPUT_TOOLTIPS = ("One or more.",)
        OUTPUT_IS_LIST = (True,)

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {
                "required": {
                    "way": (["up", "down"], {"default": "up", "tooltip": "Where to."}),
                    "turn": (["0", "4"], {"default": "4", "tooltip": "How far."}),
                    "share": ("FLOAT", {"default": 0.5, "min": 0, "max": 1, "tooltip": "How much."}),
                },
                "optional": {
                    "seed": ("INT", {"default": 7, "min": 0, "max": 1 << 62, "tooltip": "Any."}),
                    "loud": ("BOOLEAN", {"default": False, "tooltip": "Or not."}),
                    "words": ("STRING", {"default": "all", "tooltip": "Some."}),
                    "more": ("STRING", {"default": "", "tooltip": "Others."}),
                },
            }

    lines = maker.with_explained("# It\n\n## Inputs\n\nold\n\n## Example\n\nhere\n", Node).splitlines()
    assert "- **`way`** (`up`, `down`)<br>Where to." in lines
    assert "- **`turn`** (`0`, `4`; default `4`)<br>How far." in lines
    assert "- **`share`** (FLOAT, 0 to 1; default 0.5)<br>How much." in lines
    assert "- **`seed`** (INT, 0 or more; default 7; optional)<br>Any." in lines
    assert "- **`loud`** (BOOLEAN; default off; optional)<br>Or not." in lines
    assert "- **`words`** (STRING; default `all`; optional)<br>Some." in lines
    assert "- **`more`** (STRING; optional)<br>Others." in lines
    assert "- **`masks`** (MASK, a list)<br>One or more." in lines
    assert lines[:2] == ["# It", ""]
    assert lines[-3:] == ["## Example", "", "here"]
    assert "old" not in lines
