"""CPU time of reading another tool's masks, by format: `python -m benchmarks.foreign_masks --masks 400`.

The masks are ellipses of all sizes that overlap. Each time is for this process, from the file or the objects in memory
to the entities; beside it stands that of the least work that a reader of the format cannot avoid, measured alternately.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from esg import EntityMap
from esg.entities.importing.reading import read_masks
from esg.entities.polygons import outline
from esg.entities.rle import encode_mask, read_counts
from tools.node_pack import load_pack

from .records import add_out, save


def make_masks(count: int, height: int, width: int) -> np.ndarray:
    """(N, H, W) bool: seeded ellipses, most of them small."""
    rng = np.random.default_rng(0)
    masks = np.zeros((count, height, width), bool)
    for mask in masks:
        y, x = rng.uniform(0, (height, width))
        tall, wide = min(height, width) * 10 ** rng.uniform(-2, -0.4, 2)
        rows, columns = np.ogrid[:height, :width]
        mask[...] = ((rows - y) / tall) ** 2 + ((columns - x) / wide) ** 2 < 1
        mask[int(y), int(x)] = True
    return masks


def cases(masks: np.ndarray, folder: Path) -> Iterator[tuple[str, Callable[[], object], Callable[[], object]]]:
    """The name of each format, a function that reads its masks, and one that does the least work."""
    scores = np.linspace(0.5, 1, len(masks))
    npz, npy, pngs = folder / "masks.npz", folder / "masks.npy", folder / "masks"
    np.savez_compressed(npz, masks=masks)
    deflated = zlib.compress(masks.tobytes())
    yield "deflated .npz", partial(read_masks, npz), partial(zlib.decompress, deflated)
    npz.unlink()
    np.save(npy, masks)
    yield ".npy", partial(read_masks, npy), npy.read_bytes
    npy.unlink()
    yield "array", lambda: EntityMap.from_masks(masks, scores), lambda: np.count_nonzero(masks)
    arrays = list(masks)
    yield "list of arrays", lambda: EntityMap.from_masks(arrays, scores), lambda: np.count_nonzero(masks)
    node = load_pack().NODE_CLASS_MAPPINGS["ESGMasksToEntities"]()
    batch = torch.from_numpy(masks).float()
    yield "MASK of ComfyUI", partial(node.convert, batch, 0.5, False), batch.sum
    del batch
    rles = [encode_mask(mask) for mask in masks]
    lists = [{"size": rle["size"], "counts": read_counts(rle).tolist()} for rle in rles]
    polygons = [[ring.ravel().tolist() for ring in outline(mask)] for mask in masks]
    for name, outlines in (("compressed RLE", rles), ("RLE", lists), ("polygons", polygons)):
        path = folder / f"{name}.json"
        path.write_text(json.dumps([{"segmentation": one, "predicted_iou": 0.9} for one in outlines]))
        yield name, partial(read_masks, path, masks.shape[1:]), partial(_parse, path)
    yield "RLEs in memory", lambda: EntityMap.from_masks(rles, scores), lambda: [read_counts(rle) for rle in rles]
    pngs.mkdir()
    for k, mask in enumerate(masks):
        Image.fromarray(mask.astype(np.uint8) * 255).save(pngs / f"{k:05}.png")
    yield "folder of PNGs", partial(read_masks, pngs), lambda: [Image.open(one).load() for one in pngs.iterdir()]


def _parse(path: Path) -> object:
    return json.loads(path.read_bytes())


def seconds(function: Callable[[], object]) -> float:
    begin = time.process_time()
    function()
    return time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, default=400)
    parser.add_argument("--size", type=int, nargs=2, default=(800, 1000), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--rounds", type=int, default=3, help="the median counts")
    add_out(parser)
    given = parser.parse_args()
    logging.disable()
    figures = {}
    print(f"{given.masks} masks of {given.size[1]}x{given.size[0]} pixels, CPU seconds")
    print(f"{'format':16} {'reading':>8} {'least':>8} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for name, read, least in cases(make_masks(given.masks, *given.size), Path(folder)):
            ours, floor = np.median([(seconds(read), seconds(least)) for _ in range(given.rounds)], axis=0)
            figures[name] = {"seconds": ours, "least": floor}
            print(f"{name:16} {ours:8.3f} {floor:8.3f} {ours / floor:6.1f}", flush=True)
    save(given.out, "foreign_masks", figures, {name: one["seconds"] for name, one in figures.items()}, "CPU seconds")


if __name__ == "__main__":
    main()
