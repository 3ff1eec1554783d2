"""Lists of names to look for in a photo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import numpy as np
from esg.data.narration.facts import named_facts
from esg.data.narration.naming import names_to_find
labels = np.repeat(np.repeat(np.arange(1, 5, dtype=np.int32), 16)[None], 64, 0)
names = "floor-wood", "wall-brick", "river", "window-blind"
facts = named_facts(np.zeros((64, 64, 3), np.uint8), labels, names, ())
for seed in range(8):
    print(names_to_find(facts, np.random.default_rng(seed), 20).caption)
"""


def test_a_list_depends_on_the_seed_alone(root: Path) -> None:
    """Python orders sets of texts differently in every process."""
    said = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": str(order)},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for order in (1, 2)
    }
    assert len(said) == 1
    assert "There might exist" in said.pop()
