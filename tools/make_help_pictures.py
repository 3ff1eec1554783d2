"""Makes the pictures of the help pages with the nodes and the bundled weights: `python tools/make_help_pictures.py`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import torch
from make_node_texts import PAGES
from node_pack import ROOT, load_pack
from PIL import Image

PHOTO = ROOT / "web_demo" / "examples" / "rocket.jpg"
PICTURES = PAGES / "pictures"
WIDTH = 360  # pixels; help is shown in a narrow column
GAP = 4
ROCKET = '{"x": 322, "y": 180}'
BASE = '{"x": 318, "y": 379}'
SCENE = 5  # a held-out scene whose caption the small grounder grounds correctly

pack = load_pack()


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    segmenter = node("LoadSegmenter").load("cropformer-nano", "fp32", "cpu", "auto", False)[0]
    photo = torch.from_numpy(np.asarray(Image.open(PHOTO).convert("RGB"), np.float32) / 255)[None]
    entities, _, overlay = node("SegmentEntities").segment(segmenter, photo, "auto", -1, 0, 0, "each entity", True)
    save("entities", [photo], [overlay])

    mask, picked, _, _ = node("PickEntities").pick(photo, entities, ROCKET, False)["result"]
    save("picked", [overlay], [shown(photo, picked), mask])

    label_map = node("EntitiesToLabelMap").convert(entities, "colours")[0]
    masks = node("EntitiesToMasks").convert(entities)[0]
    save("masks", [label_map], [masks[:1], mask])

    merged = node("MergeEntities").merge(entities, f"{ROCKET}, {BASE}")[0]
    large = node("FilterEntities").filter(merged, "all", 0, 0, 0, 2000, 0)[0]
    save("mended", [overlay], [shown(photo, merged)], [shown(photo, large)])

    rows, columns = slice(130, 330), slice(230, 410)
    soft = node("RefineEdges").refine(photo, mask, 8, 0.03)[0]
    save("edges", [one[:, rows, columns] for one in (photo, mask, soft)])

    cut = node("MaskToInpaint").cut(photo, mask, 512, "64", 1.5, 6, 12, True)
    save("inpaint", [photo], [one[0] for one in cut[:3]])
    removed = node("InpaintOpenCV").remove(photo, mask, 40, "telea", 5)[0]
    save("removed", [photo], [removed])

    frames = torch.cat([photo[:, 120:, start : start + 400] for start in (100, 108, 116)])
    coloured = node("SegmentFrames").segment(segmenter, frames, "all", "0", -1, 800, True)[3]
    save("clip", *([one[None]] for one in coloured))
    save("grounded", [grounded()])


def grounded() -> torch.Tensor:
    """A drawn scene with its caption, grounded by the small grounder."""
    held_out = pack_module("data.scenes.synth").HELD_OUT
    told = pack_module("data.narrated").tell_scene(
        held_out + SCENE, np.random.default_rng((held_out, SCENE)), (400, 400)
    )
    image = torch.from_numpy(told.image.astype(np.float32) / 255)[None]
    entities = pack_module("entities.entity_map").EntityMap.from_labels(told.labels)
    of_batch = pack_module("values", "esg_nodes").Entities.of([entities])
    grounder = node("LoadGrounder").load("gella-nano", "fp32", "cpu")[0]
    caption = told.narratives[0].caption
    return node("GroundText").ground(grounder, image, of_batch, caption, "a sentence", 0.5)[4]


def node(name: str) -> Any:
    return pack.NODE_CLASS_MAPPINGS[f"ESG{name}"]()


def pack_module(name: str, part: str = "esg") -> Any:
    return import_module(f"{pack.__name__}.{part}.{name}")


def shown(photo: torch.Tensor, entities: Any) -> torch.Tensor:
    return node("PreviewEntities").preview(photo, entities, 0.5, True)["result"][0]


def save(name: str, *rows: list[torch.Tensor]) -> None:
    """Rows of IMAGEs and MASKs, all as wide as the others, as one small file."""
    drawn: list[np.ndarray] = []
    for row in rows:
        pictures = [Image.fromarray((one[0].numpy() * 255).round().astype(np.uint8)).convert("RGB") for one in row]
        ratios = np.array([picture.width / picture.height for picture in pictures])
        height = round((WIDTH - GAP * (len(row) - 1)) / ratios.sum())
        line = np.full((height + GAP, WIDTH, 3), 255, np.uint8)
        edges = [round(edge) for edge in np.cumsum([0, *(ratios * height + GAP)])]
        edges[-1] = WIDTH + GAP  # corrects rounding
        for picture, left, following in zip(pictures, edges, edges[1:]):
            small = picture.resize((following - GAP - left, height), Image.Resampling.LANCZOS)
            line[:height, left : following - GAP] = np.asarray(small)
        drawn.append(line)
    Image.fromarray(np.concatenate(drawn)[:-GAP]).save(PICTURES / f"{name}.jpg", quality=78, optimize=True)


if __name__ == "__main__":
    main()
