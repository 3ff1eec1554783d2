"""Trains one model on several devices: each holds the whole model (DDP), or a shard of it (FSDP).

accelerate's configuration decides between the two, see `docs/recipes/README.md`. "Process" here means one that
`accelerate launch` or `torchrun` starts; there is one per device.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..support.errors import EsgError, InputError

if TYPE_CHECKING:
    from accelerate import Accelerator


def join(partial: bool) -> Accelerator | None:
    """accelerate's `Accelerator` if several processes were launched, else None.

    Args:
        partial: whether a step may leave parts of the model unused.

    Raises:
        EsgError: accelerate is not installed.
        InputError: accelerate is configured for something that this loop does not support.
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
    """Whether the model is sharded over the devices."""
    return bool(getattr(accelerator, "is_fsdp2", False))


def shard(
    accelerator: Accelerator, model: torch.nn.Module, parts: list[torch.optim.Optimizer]
) -> list[torch.optim.Optimizer]:
    """Shards the model over the devices, in place; returns the optimizers for this device's shard."""
    # Loading weights in the first process only would save memory, but would need all buffers to be sharded as well.
    accelerator.state.fsdp_plugin.cpu_ram_efficient_loading = False
    _, *sharded = accelerator.prepare(model, *parts)
    return sharded


def whole(value: Any) -> Any:
    """Gathers sharded tensors, also in dicts and lists, as whole tensors on the CPU.

    Every process must call it. Other values are returned unchanged.
    """
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    gather = getattr(value, "full_tensor", None)
    return value if gather is None else gather().cpu()


def share(value: Tensor, like: Tensor) -> Tensor:
    """Inverse of `whole` for one tensor: this device's shard of `value` if `like` is sharded, else `value`."""
    spread: Any = like  # a DTensor if sharded
    if not hasattr(spread, "device_mesh"):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(spread.device_mesh.device_type), spread.device_mesh, spread.placements)


def mean_over_devices(value: Tensor) -> Tensor:
    """The mean of a tensor over the devices of a distributed run; on a single device, the tensor itself."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(value)
        value = value / torch.distributed.get_world_size()
    return value


def agreed(make: Callable[[], str]) -> str:
    """Runs `make` in the first process and returns its result in all of them; if it fails, all processes fail.

    Raises:
        EsgError: `make` raised it; in the first process, the original error is raised.
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
