"""What ComfyUI is told and asked, with stand-ins for the parts of it that answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def comfyui(part: Callable[[str], Any], tmp_path: Path) -> Any:
    """A ComfyUI in which `running` names the node and the item of its list, and `told` keeps what is shown."""
    host: Any = object.__new__(part("host").ComfyHost)
    host.told = []
    host.running = ("3", 0)
    server = SimpleNamespace(send_progress_text=lambda text, node: host.told.append((node, text)))
    host._said, host._server = {}, SimpleNamespace(instance=server)
    host._running = lambda: SimpleNamespace(node_id=host.running[0], list_index=host.running[1])
    host._folders = SimpleNamespace(get_output_directory=lambda: str(tmp_path / "output"))
    return host


def test_what_is_said_of_one_item_stays_when_the_next_one_is_well(comfyui: Any) -> None:
    for item, text in enumerate(["", "Nothing is sure.", "", "Nothing is chosen."]):
        comfyui.running = ("3", item)
        comfyui.say(text)
    assert comfyui.told == [("3", "Nothing is sure."), ("3", "Nothing is sure. Nothing is chosen.")]
    comfyui.running = ("3", 0)  # another run
    comfyui.say("")
    assert comfyui.told[-1] == ("3", "")
    comfyui.running = ("3", None)
    comfyui.say("")
    assert len(comfyui.told) == 3


@pytest.mark.parametrize("prefix", ["../photos", "/etc/photos", "a/../../b"])
def test_a_file_outside_the_output_folder_is_told_before_anything_runs(comfyui: Any, core: Any, prefix: str) -> None:
    for ask in (comfyui.check_prefix, lambda prefix: comfyui.output_path(prefix, ".json")):
        with pytest.raises(core.InputError, match="outside the output folder"):
            ask(prefix)
    comfyui.check_prefix("a/../b")
