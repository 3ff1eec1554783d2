"""Values that count as numbers, and the messages about others."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.support.checks import check_number, check_whole, type_name
from esg.support.errors import InputError


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(-9, 9))
def test_whole_numbers_from_least_to_most(value: int, least: int, most: int) -> None:
    for same in (value, np.int64(value), np.int8(value)):
        for check, kind in ((check_whole, "whole number"), (check_number, "number")):
            if least <= value <= most:
                check("n", same, least, most)
            else:
                with pytest.raises(InputError, match=f"^n is {value}, but must be a {kind} from {least} to {most}[.]$"):
                    check("n", same, least, most)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), Fraction(1, 2), 0, 1, np.uint8(1)])
def test_numbers(value: object) -> None:
    check_number("n", value, 0, 1)
    check_number("n", value)


def test_without_a_limit_infinity_is_a_number() -> None:
    check_number("n", math.inf, 0)
    check_number("n", -math.inf)
    with pytest.raises(InputError, match=r"^n is inf, but must be a number from 0 to 1\.$"):
        check_number("n", math.inf, 0, 1)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "nan"),
        (np.float32("nan"), "nan"),
        (None, "None"),
        (True, "True"),
        ("1", "'1'"),
        (1 + 0j, "of type complex"),
        ([1], "of type list"),
        (np.ones((3, 3)), r"\(3, 3\) float64"),
    ],
)
def test_invalid_numbers_are_named(value: object, said: str) -> None:
    with pytest.raises(InputError, match=rf"^n is {said}, but must be a number\.$"):
        check_number("n", value)
    with pytest.raises(InputError, match=rf"^n is {said}, but must be a whole number of at least 0\.$"):
        check_whole("n", value, 0)


@pytest.mark.parametrize("value", [1.0, np.float64(2), 64.5, math.inf])
def test_whole_numbers_are_of_a_whole_kind(value: float) -> None:
    with pytest.raises(InputError, match="must be a whole number of at least 0"):
        check_whole("n", value, 0)


def test_kinds() -> None:
    assert type_name(np.zeros((4, 5), np.uint8)) == "(4, 5) uint8"
    assert type_name([1, 2]) == "of type list"
