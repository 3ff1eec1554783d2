"""Installs missing packages, and says so; ComfyUI-Manager runs it after it has cloned the pack.

Never PyTorch, of which ComfyUI has the one that fits the machine; never a second OpenCV beside the one that is there.
Everything else that is there stays as it is if it is new enough. Run twice, it does nothing the second time.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
NEVER = {"torch"}
OPENCV = "opencv-python-headless"


def missing(requirements: str) -> list[str]:
    """The lines of a requirements file of the form `name>=version` that are not fulfilled here."""
    found = []
    for line in requirements.splitlines():
        name, _, least = (part.strip() for part in line.partition(">="))
        if name and not name.startswith("#") and not _is_there(name, least):
            found.append(line.strip())
    return found


def _is_there(name: str, least: str) -> bool:
    try:
        return _numbers(metadata.version(name)) >= _numbers(least)
    except metadata.PackageNotFoundError:
        return False


def _numbers(version: str) -> tuple[int, ...]:
    """2.13.0+cpu → (2, 13)."""
    numbers = [int(digits) for digits in re.findall(r"\d+", version.split("+")[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _opencv_works() -> bool:
    """Whether there is an OpenCV, from whatever package, that can be imported; says so if there is a broken one."""
    try:
        importlib.import_module("cv2")
    except Exception as error:  # without a library of the system's, or with a NumPy that it does not fit, it may be any
        if not isinstance(error, ModuleNotFoundError) or error.name != "cv2":
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            again = f"{sys.executable} -m pip install --force-reinstall --no-deps {OPENCV}"
            print(f"ESG: the installed OpenCV does not work ({reason}); if this persists, try: {again}")
        return False
    return True


def main() -> int:
    """Installs; returns the exit status."""
    wanted = missing(REQUIREMENTS.read_text(encoding="utf-8"))
    for line in [line for line in wanted if line.partition(">=")[0].strip() in NEVER]:
        print(f"ESG: {line} is missing, and this script does not install it; ComfyUI needs it, too: see its README.")
        wanted.remove(line)
    if not _opencv_works():
        wanted.append(OPENCV)
    if not wanted:
        print("ESG: all requirements are installed.")
        return 0
    command = [sys.executable, "-m", "pip", "install", *wanted]
    if importlib.util.find_spec("pip") is None:
        print(f"ESG: this Python does not have pip; install these yourself: {' '.join(wanted)}")
        return 1
    print(f"ESG: installing {', '.join(wanted)}", flush=True)
    status = subprocess.run(command, check=False).returncode
    if status:
        print(f"ESG: the installation failed; the nodes need this command to succeed: {' '.join(command)}")
    return status


if __name__ == "__main__":
    sys.exit(main())
