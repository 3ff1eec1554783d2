"""The ESG page: drop a photo, then see, select, ground, edit and export its entities. It needs the extra `demo`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from esg import MAX_PIXELS, DiffusionInpainting, EsgError, choose_device, locate
from esg.support.device import choose_dtype

from .address import check_address, checked_root_path, is_loopback
from .gate import LOOPBACK, Gate, host_name
from .models import Models

if TYPE_CHECKING:
    import gradio


ZERO_SHOT = "zero-shot"  # public models, which are located only when they are needed

MAX_SIZE_MB = 512  # per file; the largest photos that ESG reads, 200 megapixels, fit in most formats
MAX_VISITOR_MB = 2048  # all files that one visitor uploads within an hour, after which they are deleted


def launch(
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    model: str = "cropformer-nano",
    grounder: str = "gella-nano",
    inpainter: str = "",
    device: str = "auto",
    precision: str = "fp32",
    attention: str = "auto",
    compile: bool = False,
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
        host, port: where the page listens; with 127.0.0.1, only this machine can reach it.
        model: the segmenter that is selected at the start, a name or path as for `EntitySegmenter.from_pretrained`.
        grounder: the grounder that is selected at the start, as for `Grounder.from_pretrained`.
        inpainter: the diffusion model that is offered first: its id on the Hugging Face hub, or a folder. If other
            machines can reach the page, visitors cannot choose any other model or have one downloaded.
        device: "auto", "cpu", "cuda" or another device of torch.
        precision: "fp32", "bf16" or "fp16", for segmenter and grounder; the diffusion model takes fp16 on CUDA.
        attention: "auto" (xformers on CUDA where it is installed), "sdpa", "xformers" or "eager".
        compile: whether `torch.compile` compiles the segmenter, and the steps in which a GELLA writes.
        max_pixels: photos with more pixels are refused.
        share: whether to create a public address at gradio.live as well, through Gradio's servers.
        auth: user name and password that visitors must enter.
        max_size_mb: larger files are refused, in megabytes of 1024 x 1024 bytes; None: no limit.
        max_visitor_mb: how much one visitor may upload within an hour, in the same megabytes.
        allowed_hosts: host names that the page answers to, besides `host` and the names of this machine. A page that
            only this machine can reach answers to no other name; otherwise any web site that its user visits could use
            it. A page that other machines can reach answers to every name, unless some are given here.
        root_path: the path under which a proxy serves the page, such as "/esg", or the whole address there.
        frames: addresses of other pages that may show this one in a frame, such as "https://huggingface.co".
        open_browser: whether to open the page in this machine's browser.
        wait: False returns at once; the page then runs until `close()` of the returned object is called.
        say: called with a sentence that names the address once the page runs, if `wait` is True.

    Raises:
        EsgError: gradio is not installed; weights, inpainter or device do not exist; or the page cannot be served at
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
    choose_dtype(precision, choose_device(device))
    try:
        from . import page, serving
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise EsgError("The page needs gradio; install it with: pip install 'esg[demo]'") from None
    alone = is_loopback(host)
    names = [*LOOPBACK, host, host_name(root_path), *allowed_hosts]
    hosts = None if "*" in allowed_hosts or not (alone or allowed_hosts) else [name for name in names if name]
    gate = Gate(hosts, frames, max_visitor_mb * 1024**2)
    return serving.serve(
        page.build(
            model=model,
            grounder=grounder,
            inpainter=inpainter,
            models=Models(device, precision=precision, attention=attention, compile=compile),
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
