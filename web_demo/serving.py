"""Serves the page behind its gate until it is closed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import gradio as gr

from esg import InputError

from .gate import Gate
from .parts.photo import EXAMPLES
from .picture import BROWSER, scripts
from .theme import theme

MOST_WAITING = 60  # events of all visitors; at about 5 seconds each, the last one waits 5 minutes


def serve(
    page: gr.Blocks,
    gate: Gate,
    *,
    host: str,
    port: int,
    share: bool,
    auth: tuple[str, str] | None,
    max_size_mb: int | None,
    root_path: str,
    open_browser: bool,
    wait: bool,
    say: Callable[[str], object],
) -> gr.Blocks:
    """Launches a page from `page.build` behind a gate; arguments as for `launch`."""
    # After each event, Gradio would sum up all earlier ones, for a dashboard that this page does not have.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
    page.queue(max_size=MOST_WAITING)
    try:
        page.launch(
            server_name=f"[{host}]" if ":" in host else host,  # as URLs write IPv6 addresses
            server_port=port,
            share=share,
            auth=auth,
            max_file_size=None if max_size_mb is None else max_size_mb * 1024**2,
            root_path=root_path,
            app_kwargs={"lifespan": gate.around},
            inbrowser=open_browser,
            prevent_thread_lock=True,
            quiet=True,  # Gradio's own messages are for programmers
            theme=theme(),
            css_paths=BROWSER / "style.css",
            head=scripts(),
            footer_links=[],
            allowed_paths=[str(EXAMPLES)],
            ssr_mode=False,
            _frontend=False,  # otherwise Gradio gives up if a busy machine takes three seconds to answer
        )
    except OSError as error:
        if "Cannot find empty port" not in str(error):
            raise
        # Whatever the host is, Gradio also needs this port on 127.0.0.1, and waits five seconds for its own start.
        raise InputError(f"Port {port} of {host} cannot be used; choose another one with --port.") from None
    if page.share_url:
        gate.allow(page.share_url)
    if wait:
        say(f"The page is at {page.share_url or page.local_url}; press Ctrl-C to stop it.")
        try:
            while page.is_running:
                time.sleep(0.1)  # on Windows, an endless wait would ignore Ctrl-C
        except KeyboardInterrupt:
            page.close(verbose=False)
    return page
