"""The page as a Space on Hugging Face, which runs this file; see README.md beside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the project is not installed there

from esg.support.process import keep_memory, share_cores

share_cores()  # before the next line imports PyTorch
keep_memory()

import web_demo

if __name__ == "__main__":
    web_demo.launch(
        host=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"),
        port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
        frames=["https://huggingface.co"],  # which shows a Space in a frame
        max_pixels=40_000_000,  # two shared cores
        max_size_mb=100,
        max_visitor_mb=20_480,  # all visitors come through one proxy
    )
