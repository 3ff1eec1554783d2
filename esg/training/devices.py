"""Several devices that train one model: each holds the whole of it (DDP), or a share of it (FSDP).

Which of the two is a matter of accelerate's configuration, see `docs/recipes/README.md`. What is said here of processes
is about those that `accelerate launch` or `torchrun` starts, one a device.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import EsgError, InputError

if TYPE_CHECKING:
    from accelerate import Accelerator


def join(partial: bool) -> Accelerator | None:
    """accelerate's `Accelerator` when several processes were launched, else None.

    Args:
        partial: whether a step may leave out parts of the model.

    Raises:
        EsgError: accelerate is not installed.
        InputError: it is configured for what this loop cannot do.
    """
    if not _several():
        return None
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
    except ImportError:
        raise EsgError("Training on several devices needs accelerate: pip install accelerate.") from None
    options = DistributedDataParallelKwargs(find_unused_parameters=partial)
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), kwargs_handlers=[options])
    if accelerator.distributed_type == "DEEPSPEED":
        raise InputError("DeepSpeed is not supported; configure accelerate with FSDP, which shards the model as well.")
    if accelerator.distributed_type == "FSDP" and not is_sharded(accelerator):
        raise InputError("Only version 2 of FSDP is supported; set fsdp_version: 2 in accelerate's configuration.")
    return accelerator


def is_sharded(accelerator: Accelerator | None) -> bool:
    """Whether every device holds a share of the model."""
    return bool(getattr(accelerator, "is_fsdp2", False))


def shard(
    accelerator: Accelerator, model: torch.nn.Module, parts: list[torch.optim.Optimizer]
) -> list[torch.optim.Optimizer]:
    """Leaves to every device its share of the model's weights, in place; returns the optimizers for them."""
    # Only the first process would have to have the weights, but then all buffers would have to be sharded as well.
    accelerator.state.fsdp_plugin.cpu_ram_efficient_loading = False
    _, *sharded = accelerator.prepare(model, *parts)
    return sharded


def whole(value: Any) -> Any:
    """Tensors, also in dictionaries and lists, of which every device has a share → all of them on the CPU.

    Every process has to call it. Anything else stays what and where it is.
    """
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    gather = getattr(value, "full_tensor", None)
    return value if gather is None else gather().cpu()


def share(value: Tensor, like: Tensor) -> Tensor:
    """Inverse of `whole` for one tensor: this device's share, if devices have shares of `like`."""
    spread: Any = like  # a DTensor, where it is one
    if not hasattr(spread, "device_mesh"):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(spread.device_mesh.device_type), spread.device_mesh, spread.placements)


def mean_over_devices(value: Tensor) -> Tensor:
    """The mean of a tensor over the devices of a distributed run; on a single one, the tensor."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(value)
        value = value / torch.distributed.get_world_size()
    return value


def agreed(make: Callable[[], str]) -> str:
    """What `make` returns in the first process, in all of them; if it fails there, all fail alike.

    Raises:
        EsgError: `make` did; in the first process the error is its own.
    """
    accelerator = join(partial=False)
    if accelerator is None:
        return make()
    failure, text = None, ""
    if accelerator.process_index == 0:
        try:
            text = make()
        except EsgError as error:
            failure, text = error, str(error)
    content = torch.tensor([*text.encode()], dtype=torch.uint8, device=accelerator.device)
    header = torch.tensor([len(content), failure is not None], device=accelerator.device)
    torch.distributed.broadcast(header, 0)
    length, failed = header.tolist()
    content = content.new_empty(length) if accelerator.process_index else content
    torch.distributed.broadcast(content, 0)
    text = bytes(content.tolist()).decode()
    if failed:
        raise failure or EsgError(text)
    return text


def _several() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1
