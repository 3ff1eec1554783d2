"""Imports go down: a room uses only rooms on lower floors, and no module needs one that needs it.

Options end at the command: below it, functions take values.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from esg.cli.main import _parser

FLOORS = (
    {"version", "support"},
    {"pictures", "language"},
    {"entities", "inpaint"},
    {"data", "drawing", "models"},
    {"weights"},
    {"segmenter", "grounder", "inpainter", "comfyui_graphs"},
    {"evaluation", "batch"},
    {"training"},
    {"cli"},
    {"__main__"},
)  # docs/architecture.md shows them


def imports(root: Path, top: str) -> Iterator[tuple[str, str]]:
    """(module, module that it imports) for all modules below `root / top`, but for those that only types need."""
    modules = {}
    for path in sorted((root / top).rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        modules[name.removesuffix(".__init__")] = path
    for module, path in modules.items():
        package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        typing = {
            id(node)
            for block in ast.walk(tree)
            if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
            for node in ast.walk(block)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or id(node) in typing:
                continue
            base = package[: len(package) - node.level + 1] if node.level else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{target}.{alias.name}"
                yield module, full if full in modules else target


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_rooms_import_only_what_is_below_them(root: Path) -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    upward = [
        f"{module} imports {other}"
        for module, other in imports(root, "esg")
        if other.startswith("esg.") and room(module) != room(other) and module != "esg"
        if floor[room(module)] <= floor[room(other)]
    ]
    assert upward == []


@pytest.mark.parametrize("top", ["esg", "web_demo", "esg_nodes"])
def test_modules_do_not_need_each_other(root: Path, top: str) -> None:
    needs: dict[str, set[str]] = {}
    for module, other in imports(root, top):
        if other.startswith(f"{top}.") and other != module:
            needs.setdefault(module, set()).add(other)
    TopologicalSorter(needs).prepare()  # raises CycleError with the modules of a circle


@pytest.mark.parametrize("face", ["web_demo", "esg_nodes"])
def test_the_core_knows_no_face(root: Path, face: str) -> None:
    assert [module for module, other in imports(root, "esg") if other.startswith(face)] == []


def commands(parser: argparse.ArgumentParser) -> Iterator[Callable[..., Any]]:
    """The functions that a parser, and the parsers below it, name in `set_defaults`."""
    yield from filter(callable, parser._defaults.values())
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for own in action.choices.values():
                yield from commands(own)


def takers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """(name, number of parameters) of all functions that take the parsed arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if any(one.arg == "args" or "Namespace" in ast.unparse(one.annotation or one) for one in given):
                yield getattr(node, "name", "lambda"), len(given)


def test_options_end_at_the_command(root: Path) -> None:
    """Only commands, and readers such as `machine_of` beside a function that adds options, take `args`."""
    run = {f"{command.__module__}.{command.__qualname__}" for command in commands(_parser())}
    below = []
    for path in sorted((root / "esg/cli").rglob("*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        adds = any(isinstance(one, ast.FunctionDef) and one.name.lstrip("_").startswith("add") for one in tree.body)
        for name, parameters in takers(tree):
            reader = adds and name.endswith("_of") and parameters == 1
            if f"{module}.{name}" not in run and not reader:
                below.append(f"{module}.{name}")
    assert below == []
