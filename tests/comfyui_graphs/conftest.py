"""Definitions of some small nodes, in the format of ComfyUI's /object_info."""

from __future__ import annotations

from typing import Any

import pytest


def define(inputs: dict[str, Any], outputs: dict[str, str], **more: Any) -> dict[str, Any]:
    """The definition of a node whose inputs are all required, unless `more` has others."""
    return {
        "input": {"required": inputs},
        "output": list(outputs.values()),
        "output_name": list(outputs),
        "output_node": False,
        "python_module": "nodes",
        **more,
    }


@pytest.fixture
def definitions() -> dict[str, Any]:
    """Load → Blur → Save, and Number, which goes into Blur."""
    blur = {
        "required": {
            "radius": ["INT", {"default": 3, "min": 1, "max": 9}],
            "image": ["IMAGE"],
            "kind": [["box", "gauss"], {"default": "gauss"}],
            "seed": ["INT", {"control_after_generate": True}],
        },
        "optional": {
            "mask": ["MASK"],
            "share": ["FLOAT", {"default": 0.5, "min": 0, "max": 1}],
            "wired": ["STRING", {"forceInput": True}],
        },
    }
    return {
        "Load": define({"file": [["a.png", "b.png"], {"image_upload": True}]}, {"image": "IMAGE", "alpha": "MASK"}),
        "Blur": define({}, {"image": "IMAGE"}, input=blur, display_name="Blur it", python_module="custom_nodes.blur"),
        "Number": define({"value": ["INT", {}]}, {"INT": "INT"}),
        "Save": define(
            {"images": ["IMAGE"], "name": ["STRING", {"multiline": True}]}, {}, output_node=True, display_name="Save it"
        ),
        "Show": define({"source": ["*"], "how": ["COMBO", {"options": ["text", "json"]}]}, {}, output_node=True),
        "Files": define({"name": [[]]}, {"MODEL": "MODEL"}),
    }
