"""The program that the nodes run in: ComfyUI, or this process alone if there is no ComfyUI.

It decides where networks compute and when they are moved away, where files are, how progress is shown and how a run is
stopped. Everything that the pack knows about ComfyUI's Python side is in this file.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import torch
from torch import nn

from ..esg import InputError, Stage, choose_device

log = logging.getLogger(__name__)

WEIGHTS = "entityseg"  # the folder in ComfyUI's `models`, and the kind in `extra_model_paths.yaml`


def unserved(folder: str) -> str:
    """Why ComfyUI does not serve the files of a pack in a folder of this name; an empty text if it does.

    ComfyUI answers 404 if the name has spaces or letters beyond ASCII.
    """
    if quote(folder) == folder:
        return ""
    return (
        f"ComfyUI does not serve scripts, pictures and templates from the folder {folder!r}, so the picture to click "
        "on does not appear. Rename the folder to letters, digits and hyphens, such as esg-nodes, and restart ComfyUI."
    )


UNSERVED = unserved(Path(__file__).parents[1].name)

Bar = Callable[[int, int, str], None]  # called as `bar(done, total, what)`


def of_one(show: Bar, index: int, count: int) -> Bar:
    """A function that reports the progress within picture `index` as a percentage of all `count` pictures."""

    def report(done: int, total: int, what: str) -> None:
        # The fusion after the views is too quick to need a part of the bar.
        share = 1 if what == Stage.FUSION else done / (total + (what == Stage.VIEWS))
        show(round(100 * (index + share)), 100 * count, what)

    return report


class Host(Protocol):
    """The program around the nodes."""

    def device(self, name: str) -> torch.device:
        """The device for a network that the user put on "auto", "cpu" or another device."""
        ...

    def own(self, networks: Sequence[nn.Module], device: torch.device) -> Any:
        """Hands networks over to the host's memory manager; returns the argument for `bring`."""
        ...

    def bring(self, owned: Any) -> None:
        """Moves the networks to their device, and makes room there if necessary."""
        ...

    def results(self) -> torch.device:
        """The device for pictures and masks between nodes."""
        ...

    def progress(self) -> Bar:
        """A new progress bar, called with (done, total, what); it raises when the user stops the run."""
        ...

    def weight_folders(self) -> list[Path]:
        """The folders in which the user keeps weights; downloads go to the first."""
        ...

    def weight_files(self) -> list[str]:
        """The names of the files in them, relative to their folder."""
        ...

    def check_prefix(self, filename_prefix: str) -> None:
        """Raises InputError if `output_path` would refuse it."""
        ...

    def output_path(self, prefix: str, suffix: str) -> Path:
        """The path of a new file in the output folder; `prefix` may include folders, but not lead out of it."""
        ...

    def temp_path(self, suffix: str) -> Path:
        """The path of a new file in the folder for previews, which is emptied from time to time."""
        ...

    def say(self, text: str) -> None:
        """Shows a sentence in the node that is running; an empty text removes it.

        A node that runs once for each item of a list shows the sentences of all items.
        """
        ...

    def block(self, why: str) -> Any:
        """An output that stops only the nodes after it; the node shows the reason."""
        ...


class ComfyHost:
    """ComfyUI, 0.8 and newer."""

    def __init__(self) -> None:
        import comfy.model_management
        import comfy.model_patcher
        import comfy.utils
        import comfy_execution.graph
        import comfy_execution.utils
        import folder_paths
        import server

        self._memory = comfy.model_management
        self._patcher = comfy.model_patcher.ModelPatcher
        self._bar = comfy.utils.ProgressBar
        self._folders = folder_paths
        self._blocker = comfy_execution.graph.ExecutionBlocker
        self._running = comfy_execution.utils.get_executing_context
        self._server = server.PromptServer
        self._said: dict[str, dict[int, str]] = {}  # the sentences that nodes show, by item of a list
        folder_paths.add_model_folder_path(WEIGHTS, str(Path(folder_paths.models_dir) / WEIGHTS))

    def device(self, name: str) -> torch.device:
        return self._memory.get_torch_device() if name == "auto" else choose_device(name)

    def own(self, networks: Sequence[nn.Module], device: torch.device) -> Any:
        away = torch.device("cpu")
        for network in networks:
            # Checked before every layer, so that a run can be stopped at any time.
            for module in network.modules():
                module.register_forward_pre_hook(self._stop_if_asked)
        return [self._patcher(network.to(away), load_device=device, offload_device=away) for network in networks]

    def bring(self, owned: Any) -> None:
        self._memory.load_models_gpu(owned, force_full_load=True)

    def _stop_if_asked(self, *_: Any) -> None:
        self._memory.throw_exception_if_processing_interrupted()

    def results(self) -> torch.device:
        return self._memory.intermediate_device()

    def progress(self) -> Bar:
        bar = self._bar(1)

        def report(done: int, total: int, what: str) -> None:
            self._memory.throw_exception_if_processing_interrupted()
            bar.update_absolute(done, total)

        return report

    def weight_folders(self) -> list[Path]:
        return [Path(folder) for folder in self._folders.get_folder_paths(WEIGHTS)]

    def weight_files(self) -> list[str]:
        return self._folders.get_filename_list(WEIGHTS)

    def check_prefix(self, filename_prefix: str) -> None:
        folder = Path(self._folders.get_output_directory()).absolute()
        if not Path(os.path.normpath(folder / filename_prefix)).is_relative_to(folder):
            raise InputError(
                f"filename_prefix is {filename_prefix!r}, which is outside the output folder; write a name such as "
                "entities, or one with a folder in it, such as photos/entities."
            )

    def output_path(self, prefix: str, suffix: str) -> Path:
        self.check_prefix(prefix)
        folder, name, counter, _, _ = self._folders.get_save_image_path(prefix, self._folders.get_output_directory())
        return _free_path(Path(folder), name, counter, suffix)

    def temp_path(self, suffix: str) -> Path:
        return _temporary(Path(self._folders.get_temp_directory()), suffix)

    def say(self, text: str) -> None:
        running = self._running()
        if running is None:
            return
        item, shown = running.list_index or 0, self._said.get(running.node_id, {})
        # Later items are from an earlier run.
        said = {k: one for k, one in {**shown, item: text}.items() if one and k <= item}
        self._said[running.node_id] = said
        if said != shown:
            sentences = dict.fromkeys(said[k] for k in sorted(said))
            self._server.instance.send_progress_text(" ".join(sentences), running.node_id)

    def block(self, why: str) -> Any:
        self.say(why)
        log.info("%s", why)
        return self._blocker(None)


class PlainHost:
    """No program: networks stay on their device, files go to the folder `out` or, if temporary, to the system's folder,
    and progress is not shown."""

    def device(self, name: str) -> torch.device:
        return choose_device(name)

    def own(self, networks: Sequence[nn.Module], device: torch.device) -> Any:
        return networks, device

    def bring(self, owned: Any) -> None:
        networks, device = owned
        for network in networks:
            network.to(device)

    def results(self) -> torch.device:
        return torch.device("cpu")

    def progress(self) -> Bar:
        return lambda done, total, what: None

    def weight_folders(self) -> list[Path]:
        return [Path("models") / WEIGHTS]

    def weight_files(self) -> list[str]:
        (folder,) = self.weight_folders()
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    def check_prefix(self, filename_prefix: str) -> None:
        pass  # folders in it are not used

    def output_path(self, prefix: str, suffix: str) -> Path:
        return _free_path(Path("out"), Path(prefix).name, 1, suffix)

    def temp_path(self, suffix: str) -> Path:
        return _temporary(Path(tempfile.gettempdir()) / "esg", suffix)

    def say(self, text: str) -> None:
        if text:
            log.warning("%s", text)

    def block(self, why: str) -> Any:
        raise InputError(why)


def _free_path(folder: Path, name: str, counter: int, suffix: str) -> Path:
    """The first path like folder/name_00001_suffix, counting from `counter`, that does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    while (path := folder / f"{name}_{counter:05}_{suffix}").exists():
        counter += 1
    return path


def _temporary(folder: Path, suffix: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix="esg_", suffix=suffix, dir=folder, delete=False) as file:
        return Path(file.name)


@cache
def host() -> Host:
    """The program that the nodes run in."""
    try:
        return ComfyHost()
    except ImportError:
        return PlainHost()
