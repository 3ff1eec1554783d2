"""The documents: their links lead somewhere, and their lists are complete."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.parse import unquote

import pytest
from scripts import load_script

import esg
from esg.cli.main import _parser

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "esg_nodes/web/docs").glob("*.md")])
LINK = re.compile(r"\]\(([^()\s:]+)\)")


@pytest.fixture(scope="module")
def site_files() -> ModuleType:
    """The script that brings files into the site."""
    return load_script("tools/site_files.py")


def test_examples_in_docstrings_are_code_in_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "griffe", SimpleNamespace(Extension=object))
    docstring = "Doubles.\n\nArgs:\n    x: a number.\n\n>>> for x in (1, 2):\n...     x * 2\n2\n4\n\nOr not."
    shown = load_script("tools/site_examples.py").with_code_blocks(docstring)
    example = ">>> for x in (1, 2):\n...     x * 2\n2\n4"
    assert shown == docstring.replace(example, f"```pycon\n{example}\n```")


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def anchors(document: Path) -> set[str]:
    """The anchors of the headings, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(document: Path) -> None:
    for link in LINK.findall(document.read_text(encoding="utf-8")):
        path, _, anchor = unquote(link).partition("#")
        target = document.parent / path if path else document
        # A page of the site cannot lead to a folder in it.
        assert target.is_file() or (target.is_dir() and ROOT / "docs" not in document.parents), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_can_be_copied(document: Path) -> None:
    if document.name != "RELEASING.md":  # which says what OWNER stands for
        assert not re.search(r"REPOSITORY_URL|\bOWNER\b", document.read_text(encoding="utf-8"))


def test_the_guide_to_comfyui_has_every_node_and_workflow() -> None:
    links = {unquote(link) for link in LINK.findall(text_of("docs/comfyui.md"))}
    nodes = re.findall(r'"(ESG\w+)": \(\w+, "[^"]+"\)', text_of("esg_nodes/__init__.py"))
    assert len(nodes) > 20
    assert {f"../esg_nodes/web/docs/{name}.md" for name in nodes} <= links
    workflows = list((ROOT / "workflows").glob("*.json"))
    assert workflows
    assert {f"../workflows/{path.name}" for path in workflows} <= links
    assert f"{len(nodes)} nodes and {len(workflows)} workflows" in text_of("docs/index.md")


def test_the_reference_has_every_public_name_once() -> None:
    names = [name for page in sorted((ROOT / "docs/api").glob("*.md")) for name in explained(page)]
    assert sorted(names) == sorted(esg.__all__)


def explained(page: Path) -> list[str]:
    return re.findall(r"^::: esg\.(\w+)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def commands() -> Iterator[tuple[str, str]]:
    """Every command, and the help of it and of its own commands."""
    choices = next(action.choices for action in _parser()._actions if isinstance(action.choices, dict))
    for name, parser in choices.items():
        own = [action.choices.values() for action in parser._actions if isinstance(action.choices, dict)]
        yield f"esg {name}", "\n".join(one.format_help() for one in (parser, *(p for parsers in own for p in parsers)))


def test_the_page_on_the_command_line_has_every_command_and_no_other_options() -> None:
    sections = dict(re.findall(r"^## (esg \w+)\n(.*?)(?=^## |\Z)", text_of("docs/command-line.md"), re.M | re.S))
    assert sorted(sections) == sorted(name for name, _ in commands())
    for name, described in commands():
        options = set(re.findall(r"`(--[\w-]+)", sections[name]))
        assert options <= {*re.findall(r"--[\w-]+", described)}, name


@pytest.mark.parametrize("document", ["README.md", "docs/command-line.md", "docs/quickstart.md", "docs/page.md"])
def test_examples_of_commands_have_options_that_exist(document: str) -> None:
    known = dict(commands())
    lines = re.findall(r"^(esg \w+)(.*?)(?: +#.*)?$", text_of(document), re.MULTILINE)
    for name, rest in lines:
        assert {*re.findall(r"--[\w-]+", rest)} <= {*re.findall(r"--[\w-]+", known[name])}, rest


@pytest.mark.parametrize(
    ("source", "page", "link", "expected"),
    [
        ("docs/faq.md", "faq.md", "[a](weights.md#licences)", "[a](weights.md#licences)"),
        ("docs/faq.md", "faq.md", "[a](../esg/assets/README.md)", "[a](weights/cropformer-nano.md)"),
        ("docs/api/masks.md", "api/masks.md", "[a](../formats.md)", "[a](../formats.md)"),
        ("CONTRIBUTING.md", "contributing.md", "[a](docs/style.md)", "[a](style.md)"),
        (
            "docs/comfyui.md",
            "comfyui.md",
            "![a](../workflows/Click%20and%20remove.jpg)",
            "![a](comfyui/workflows/Click%20and%20remove.jpg)",
        ),
        ("docs/faq.md", "faq.md", "[a](../LICENSE)", "[a](https://host/us/esg/blob/main/LICENSE)"),
        ("docs/faq.md", "faq.md", "[a](https://arxiv.org/abs/1)", "[a](https://arxiv.org/abs/1)"),
        ("docs/faq.md", "faq.md", "[a](nothing.md)", "[a](nothing.md)"),
    ],
)
def test_links_fit_the_site(site_files: ModuleType, source: str, page: str, link: str, expected: str) -> None:
    assert site_files.with_links(f"See {link}.", source, page, "https://host/us/esg/") == f"See {expected}."


def test_without_an_address_of_the_repository_links_to_its_files_are_text(site_files: ModuleType) -> None:
    assert site_files.with_links("[NOTICE](../NOTICE)", "docs/faq.md", "faq.md", "") == "NOTICE"


def test_the_navigation_lists_pages_from_elsewhere(site_files: ModuleType) -> None:
    nav = site_files.with_pages([{"Guide": "comfyui.md"}, {"Nodes": "comfyui/nodes/*"}])
    assert nav[0] == {"Guide": "comfyui.md"}
    assert "comfyui/nodes/ESGPickEntities.md" in nav[1]["Nodes"]
