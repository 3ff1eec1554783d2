"""Continues to train the bundled cropformer-nano on photos that you have annotated.

python docs/examples/train_small.py PHOTOS OUT [STEPS]

PHOTOS is what `esg train --photos` reads, such as COCO's: `instances.json` or `panoptic.json` beside `images/`.
Unlabelled areas count as unknown, so masks of a few things are enough. A fifth of the photos is held out and measured,
and the best weights are kept. On a CPU, a step takes some seconds. Ctrl-C stops the run; the same command resumes it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(photos: str, out: Path, steps: str | None = None) -> None:
    weights = out / "mine.safetensors"
    command = [sys.executable, "-m", "esg", "train", "cropformer", "--photos", photos, "--init", "cropformer-nano"]
    command += ["--out", str(out), "--export", str(weights)] + (["--steps", steps] if steps else [])
    subprocess.run(command, check=True)
    print(f"Done. Use it: esg segment PHOTO --model {weights}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:4])
