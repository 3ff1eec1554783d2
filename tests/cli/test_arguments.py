"""Argument types that several commands share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from esg.cli.arguments import file_or_folder, whole
from esg.cli.main import _parser

Run = Callable[..., Any]


def arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All of a parser and of the commands below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from arguments(command)
        else:
            yield action


def test_no_path_or_name_may_be_empty() -> None:
    """What is written as "$NOT_SET" would else be the current folder, or what is taken without the option."""
    checked = []
    for action in arguments(_parser()):
        if isinstance(action.metavar, str) and re.search("FILE|DIR|FOLDER|NAME|PHOTO|ADDRESS", action.metavar):
            assert callable(action.type), action
            with pytest.raises(argparse.ArgumentTypeError, match="empty"):
                action.type("")
            checked.append(action.dest)
    options = "photos out masks model segmenter grounder inpainter init config export folder file name host"
    assert set(options.split()) <= set(checked)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["segment", ""], "PHOTO"),
        (["segment", "a.jpg", "--out", ""], "--out"),
        (["ground", "a.jpg", "--masks", ""], "--masks"),
        (["caption", "a.jpg", "--model", ""], "--model"),
        (["train", "cropformer", "--out", ""], "--out"),
        (["weights", "verify", ""], "NAME|FILE"),
        (["demo", "--inpainter", ""], "--inpainter"),
    ],
)
def test_an_empty_one_is_refused_in_one_line(esg: Run, command: list[str], name: str) -> None:
    esg(*command).refused(f"argument {name}: the value is empty; give a name or a path; see")


def test_a_path_is_taken_as_it_is() -> None:
    assert file_or_folder(".") == Path()
    assert file_or_folder(" ") == Path(" ")


def test_whole_numbers_within_limits() -> None:
    parse = whole(1, 9)
    assert [parse("1"), parse(" 9 ")] == [1, 9]
    for text, words in (
        ("0", "0 is below the minimum of 1"),
        ("10", "10 is above the maximum of 9"),
        ("1.0", "'1.0' is not a whole number"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=f"^{words}$"):
            parse(text)
    assert whole(0)("1" + "0" * 30) == 10**30
