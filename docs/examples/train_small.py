"""Continues to train the bundled cropformer-nano on photos that you have annotated.

python docs/examples/train_small.py PHOTOS OUT [STEPS]

PHOTOS is a folder that `esg train --photos` reads, such as COCO's: `instances.json` or `panoptic.json` beside
`images/`. Unlabelled areas count as unknown, so masks of a few things are enough. On a CPU, a step takes some
seconds. Ctrl-C stops the run; the same command resumes it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from esg import locate


def main(photos: str, out: Path, steps: int = 150) -> None:
    start, weights = locate("cropformer-nano", task="entity"), out / "mine.safetensors"
    command = [sys.executable, "-m", "esg", "train", "cropformer", "--photos", photos, "--out", str(out)]
    command += ["--init", str(start), "--steps", str(steps), "--export", str(weights)]
    subprocess.run(command, check=True)
    print(f"Done. Use it: esg segment PHOTO --model {weights}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *(int(steps) for steps in sys.argv[3:4]))
