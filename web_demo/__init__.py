"""The ESG page: drop a photo, and see, select, ground, edit and take away its entities. It needs the extra `demo`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from esg import MAX_PIXELS, DiffusionInpainting, EsgError, choose_device, locate

from .address import check_address

if TYPE_CHECKING:
    import gradio


ZERO_SHOT = "zero-shot"  # public models, which are looked for when they are needed


LOOPBACK = ("127.0.0.1", "localhost", "::1")  # what only this machine can see


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
    max_size_mb: int | None = None,
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
        open_browser: shows the page in the browser of this machine.
        wait: False returns at once; the page then lives until the `close()` of what is returned.
        say: told the address, once the page is there, where it is waited for.

    Raises:
        EsgError: gradio is not installed, weights, inpainter or device are not there, or the page cannot be served at
            that address.
    """
    host = host.removeprefix("[").removesuffix("]")  # as an address of IPv6 may be given
    check_address(host, port)
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
    return page.serve(
        page.build(
            model=model,
            grounder=grounder,
            inpainter=inpainter,
            device=device,
            max_pixels=max_pixels,
            private=host in LOOPBACK and not share,
        ),
        host=host,
        port=port,
        share=share,
        auth=auth,
        max_size_mb=max_size_mb,
        open_browser=open_browser,
        wait=wait,
        say=say,
    )
