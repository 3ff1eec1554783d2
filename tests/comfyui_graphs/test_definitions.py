from __future__ import annotations

from typing import Any

import pytest

from esg.comfyui_graphs.definitions import Input, inputs_of, outputs_of


def test_inputs_in_their_order_the_required_ones_first(definitions: dict[str, Any]) -> None:
    found = inputs_of(definitions["Blur"])
    assert [(one.name, one.type, one.required) for one in found] == [
        ("radius", "INT", True),
        ("image", "IMAGE", True),
        ("kind", "COMBO", True),
        ("seed", "INT", True),
        ("mask", "MASK", False),
        ("share", "FLOAT", False),
        ("wired", "STRING", False),
    ]


def test_choices_are_given_in_place_of_the_type_or_among_the_options(definitions: dict[str, Any]) -> None:
    assert inputs_of(definitions["Blur"])[2].choices == ("box", "gauss")
    assert inputs_of(definitions["Show"])[1].choices == ("text", "json")


def test_what_is_always_linked_has_no_field(definitions: dict[str, Any]) -> None:
    fields = [one.name for one in inputs_of(definitions["Blur"]) if one.is_widget]
    assert fields == ["radius", "kind", "seed", "share"]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("steps", {}, False),
        ("seed", {}, True),  # the frontend goes by the name where the node says nothing
        ("noise_seed", {}, True),
        ("seed", {"control_after_generate": False}, False),
        ("steps", {"control_after_generate": True}, True),
    ],
)
def test_seeds_have_another_field_behind_them(name: str, options: dict[str, Any], expected: bool) -> None:
    assert Input(name, "INT", True, options=options).has_control == expected


def test_defaults(definitions: dict[str, Any]) -> None:
    assert [one.default for one in inputs_of(definitions["Blur"]) if one.is_widget] == [3, "gauss", 0, 0.5]
    assert inputs_of(definitions["Files"])[0].default is None


def test_outputs(definitions: dict[str, Any]) -> None:
    assert outputs_of(definitions["Load"]) == [("image", "IMAGE"), ("alpha", "MASK")]
