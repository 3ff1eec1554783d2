"""The ESG page: drop a photo, and see, select, ground, edit and take away its entities. It needs the extra `demo`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from esg import MAX_PIXELS, DiffusionInpainting, EsgError, choose_device, locate

from .address import check_address, checked_root_path, is_loopback
from .gate import LOOPBACK, Gate, host_name

if TYPE_CHECKING:
    import gradio


ZERO_SHOT = "zero-shot"  # public models, which are looked for when they are needed

MAX_SIZE_MB = 512  # of a file; the largest photos that are read, of 200 megapixels, fit in most formats
MAX_VISITOR_MB = 2048  # of all files that one visitor brings within an hour, after which they are cleared away


def launch(
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    model: str = "cropformer-nano",
    grounder: str = "gella-nano",
    inpainter: str = "",
    device: str = "auto",
    max_pixels: int = MAX_PIXELS,
    share: bool = False,
    auth: tuple[str, str] | None = None,
    max_size_mb: int | None = MAX_SIZE_MB,
    max_visitor_mb: int = MAX_VISITOR_MB,
    allowed_hosts: Sequence[str] = (),
    root_path: str = "",
    frames: Sequence[str] = (),
    open_browser: bool = False,
    wait: bool = True,
    say: Callable[[str], object] = print,
) -> gradio.Blocks:
    """Serves the page until it is interrupted.

    Args:
        host, port: where it listens; with 127.0.0.1 only this machine can see it.
        model: the weights chosen at first, a name or a path as for `EntitySegmenter.from_pretrained`.
        grounder: what grounds words at first, as for `Grounder.from_pretrained`.
        inpainter: the diffusion model that is offered first: its id on the Hugging Face hub, or a folder. Where others
            than this machine can see the page, visitors cannot name another one or have one downloaded.
        device: "auto", "cpu", "cuda" …
        max_pixels: larger photos are refused.
        share: also makes a public address at gradio.live, through Gradio's servers.
        auth: user and password that visitors have to give.
        max_size_mb: larger files are refused, in megabytes of 1024 x 1024 bytes; None: of any size.
        max_visitor_mb: so much may one visitor bring within an hour, in the same megabytes.
        allowed_hosts: names by which the page may be asked for, besides those of this machine alone and `host`. A page
            that only this machine can see answers to no other name, or any web site that its user visits could use
            it; where others can see it, it answers to every name unless some are given here.
        root_path: the path under which a proxy serves the page, such as "/esg", or the whole address there.
        frames: addresses of other pages that may show this one in a frame, such as "https://huggingface.co".
        open_browser: shows the page in the browser of this machine.
        wait: False returns at once; the page then lives until the `close()` of what is returned.
        say: told the address, once the page is there, where it is waited for.

    Raises:
        EsgError: gradio is not installed, weights, inpainter or device are not there, or the page cannot be served at
            that address.
    """
    host = host.removeprefix("[").removesuffix("]")  # as an address of IPv6 may be given
    check_address(host, port)
    root_path = checked_root_path(root_path)
    locate(model, task="entity")
    if grounder != ZERO_SHOT:
        locate(grounder, task="grounding")
    if inpainter:
        DiffusionInpainting.find(inpainter)
    choose_device(device)
    try:
        from . import page
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise EsgError("The page needs gradio; install it with: pip install 'esg[demo]'") from None
    alone = is_loopback(host)
    names = [*LOOPBACK, host, host_name(root_path), *allowed_hosts]
    hosts = None if "*" in allowed_hosts or not (alone or allowed_hosts) else [name for name in names if name]
    gate = Gate(hosts, frames, max_visitor_mb * 1024**2)
    return page.serve(
        page.build(
            model=model,
            grounder=grounder,
            inpainter=inpainter,
            device=device,
            max_pixels=max_pixels,
            private=alone and not share and not root_path and not allowed_hosts,
            callers=gate.callers,
        ),
        gate,
        host=host,
        port=port,
        share=share,
        auth=auth,
        max_size_mb=max_size_mb,
        root_path=root_path,
        open_browser=open_browser,
        wait=wait,
        say=say,
    )
