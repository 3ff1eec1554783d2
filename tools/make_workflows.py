"""Makes the graphs in `workflows/`, which ComfyUI offers as templates: `python tools/make_workflows.py`.

Each is described once, below. It is written in the form that people open, and in the form that runs (`workflows/api/`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node_pack import ROOT, load_pack

from esg.comfyui_graphs import Definitions, Graph, NodeOutput, check, to_ui
from esg.comfyui_graphs.blocks import (
    GREEN,
    SD15_INPAINTING,
    VERSIONS,
    encode_prompts,
    inpaint,
    load_checkpoint,
    pick,
    repaint,
    save,
    segment,
    stitch,
)

WORKFLOWS = ROOT / "workflows"
NODES = Path(__file__).parent / "workflow_nodes"  # of other packs, shortened from ComfyUI's /object_info
PACKS = {**VERSIONS, "comfyui-impact-pack": "8.28.0"}

SD15 = {
    "name": "v1-5-pruned-emaonly-fp16.safetensors",
    "url": "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/"
    "v1-5-pruned-emaonly-fp16.safetensors",
    "directory": "checkpoints",
}
Description = Callable[[Definitions], Graph]
GRAPHS: dict[str, Description] = {}  # by the name of the file, which is the title that ComfyUI shows


def workflow(title: str) -> Callable[[Description], Description]:
    """Marks a function that describes the graph of this title."""

    def keep(describe_graph: Description) -> Description:
        GRAPHS[title] = describe_graph
        return describe_graph

    return keep


@workflow("Segment everything")
def segment_everything(definitions: Definitions) -> Graph:
    graph = Graph(definitions)
    image, entities = _segmented(
        graph,
        "Segments a photo into its entities: everything in it, without classes.\n\n"
        "cropformer-nano comes with ESG and is fast; the authors' large models find much more (CC BY-NC 4.0): choose "
        "one in **Load Segmenter** and switch on `download`.",
    )
    graph.group("Look at it")
    graph.add("ESGPreviewEntities", {"image": image, "entities": entities}, size=(420, 520))
    graph.group("Pass it on")
    colours = graph.add("ESGEntitiesToLabelMap", {"entities": entities})
    graph.add("PreviewImage", {"images": colours["label_map"]})
    graph.add("ESGSaveCoco", {"entities": entities, "filename_prefix": "esg/entities"})
    return graph


def _click_and_repaint(graph: Graph, image: NodeOutput, entities: NodeOutput, prefix: str, **cut_options: bool) -> None:
    """Adds the nodes from a click to the saved pictures. Mask to Inpaint stops the run while nothing is picked."""
    graph.group("Click it")
    picked = pick(graph, image, entities, "")
    graph.group("Repaint it (SD 1.5 inpainting)", new_row=True)
    cut = graph.add("ESGMaskToInpaint", {"image": image, "mask": picked["mask"], **cut_options})
    prompt = "a blue silk dress with golden stars, soft folds"
    made = inpaint(graph, load_checkpoint(graph, SD15_INPAINTING), cut, prompt)
    save(graph, stitch(graph, image, made, cut), prefix)


@workflow("Click and inpaint")
def click_and_inpaint(definitions: Definitions) -> Graph:
    graph = Graph(definitions)
    image, entities = _segmented(
        graph,
        "Click the things to repaint.\n\n1. Run once: the picture appears in **Pick Entities**, and nothing else "
        "happens yet.\n2. Click entities there, write a prompt, and run again.\n\nOnly the area around the mask goes "
        "through the model, at the model's own size. Outside the soft edge, no pixel of the photo changes.",
    )
    _click_and_repaint(graph, image, entities, "esg/clicked")
    return graph


@workflow("Click and inpaint a batch")
def inpaint_a_batch(definitions: Definitions) -> Graph:
    graph = Graph(definitions)
    graph.group("Segment photos")
    graph.note(
        "Repaints what you click in several pictures, all in one run.\n\nThe example picture and its mirror image "
        "stand in for your photos here: replace them with a node that loads several pictures. Pictures of different "
        "sizes can come as a list.\n\n1. Run once: the pictures appear in **Pick Entities**, and nothing else happens "
        "yet.\n2. Click in each of them; ‹ and › turn the pages. Your choice is written into `picks`, such as "
        "`picture 1: 3, picture 2: 4,7`. Text without `picture`, such as `largest`, applies to all pictures.\n3. Run "
        "again. Pictures in which nothing is chosen stay unchanged.",
        "What this does",
    )
    first = graph.add("LoadImage", {"image": "example.png"})["IMAGE"]
    second = graph.add("ImageFlip", {"image": first, "flip_method": "y-axis: horizontally"})["IMAGE"]
    images = graph.add("ImageBatch", {"image1": first, "image2": second})["IMAGE"]
    entities = segment(graph, images)
    _click_and_repaint(graph, images, entities, "esg/batch")
    return graph


@workflow("Click and inpaint a clip")
def inpaint_a_clip(definitions: Definitions) -> Graph:
    graph = Graph(definitions)
    graph.group("The pictures of a clip")
    graph.note(
        "Follows the things that you click through all pictures of a clip, and repaints them in each.\n\nThe example "
        "picture in three positions stands in for a clip here: replace it with **Load Video** and **Get Video "
        "Components**, and add **Create Video** and **Save Video** at the end.\n\n1. Run once: the pictures appear in "
        "**Pick Entities**.\n2. Click a thing in any of them: it is chosen in all.\n3. Run again.\n\n`one_box` cuts "
        "all pictures at the same place into one batch, as video models need. SD 1.5, which is used here, paints "
        "every picture by itself, so the result flickers.",
        "What this does",
    )
    photo = graph.add("LoadImage", {"image": "example.png"})["IMAGE"]
    moved = [
        graph.add("ImagePadForOutpaint", {"image": photo, "left": left, "right": 64 - left, "feathering": 0})["IMAGE"]
        for left in (0, 32, 64)
    ]
    start = graph.add("ImageBatch", {"image1": moved[0], "image2": moved[1]})["IMAGE"]
    clip = graph.add("ImageBatch", {"image1": start, "image2": moved[2]})["IMAGE"]
    graph.group("Follow its entities")
    segmenter = graph.add("ESGLoadSegmenter")["segmenter"]
    tracked = graph.add("ESGSegmentFrames", {"segmenter": segmenter, "image": clip})
    graph.add("PreviewImage", {"images": tracked["overlay"]}, title="Its tracks")
    _click_and_repaint(graph, clip, tracked["entities"], "esg/clip", one_box=True)
    return graph


@workflow("Say and inpaint")
def say_and_inpaint(definitions: Definitions) -> Graph:
    graph = Graph(definitions)
    image, entities = _segmented(
        graph,
        "Describe the thing to repaint.\n\ngella-nano comes with ESG; it is small and knows COCO's 133 categories and "
        "other words for them: `the sky`, `the cat`, `the person`. It reads English only. For other words, choose "
        "**zero-shot** in **Load Grounder**.\n\nAny checkpoint works here: the noise mask and Differential "
        "Diffusion follow the mask's soft edge. A lower `denoise` keeps more of the original.",
    )
    graph.group("Say it")
    grounder = graph.add("ESGLoadGrounder")
    said = {"grounder": grounder["grounder"], "image": image, "entities": entities}
    said |= {"text": "the sky", "read_as": "one expression or question"}
    grounded = graph.add("ESGGroundText", said, colours=GREEN)
    graph.add("PreviewImage", {"images": grounded["overlay"]}, title="The entity it refers to")
    graph.group("Repaint it (any checkpoint)", new_row=True)
    cut = graph.add("ESGMaskToInpaint", {"image": image, "mask": grounded["mask"]})
    made = repaint(graph, load_checkpoint(graph, SD15), cut, "a night sky full of stars, the milky way", 0.9)
    save(graph, stitch(graph, image, made, cut), "esg/said")
    return graph


@workflow("Repaint each phrase")
def repaint_each_phrase(definitions: Definitions) -> Graph:
    graph = Graph(definitions)
    image, entities = _segmented(
        graph,
        "Describes the picture, finds the entities that its nouns refer to, and repaints each of them with its own "
        "prompt, in one run: **For Each Phrase or Entity** makes lists, and the nodes after it run once per item.\n\n"
        "Its prompts: `sky = a night sky full of stars` applies to that phrase only; a line without `=` applies to all "
        "others, with `{name}` standing for the phrase. Without such a line, the others stay unchanged.",
    )
    graph.group("Describe it")
    grounder = graph.add("ESGLoadGrounder")["grounder"]
    seen = {"grounder": grounder, "image": image}
    caption = graph.add("ESGDescribeImage", {**seen, "entities": entities})["caption"]
    nouns = graph.add("ESGFindNouns", {**seen, "caption": caption})["nouns"]
    graph.add("PreviewAny", {"source": nouns}, title="Nouns", size=(290, 120))
    grounded = graph.add("ESGGroundText", {**seen, "entities": entities, "text": caption, "read_as": "a sentence"})
    graph.add("PreviewImage", {"images": grounded["overlay"]}, title="Their entities")
    graph.group("Once for each")
    prompts = "{name}, oil painting, thick brush strokes\nsky = a night sky full of stars, oil painting"
    each = graph.add(
        "ESGForEach", {"entities": grounded["entities"], "each": "phrase", "prompts": prompts}, colours=GREEN
    )
    graph.group("Repaint it (SD 1.5 inpainting)", new_row=True)
    cut = graph.add("ESGMaskToInpaint", {"image": image, "mask": each["masks"]})
    made = inpaint(graph, load_checkpoint(graph, SD15_INPAINTING), cut, each["prompts"])
    save(graph, stitch(graph, image, made, cut), "esg/each")
    return graph


@workflow("Click and remove")
def remove_entity(definitions: Definitions) -> Graph:
    graph = Graph(definitions)
    image, entities = _segmented(
        graph,
        "Removes what you click, without a diffusion model: OpenCV continues the surroundings. This suits small things "
        "on a plain background.\n\nRun once, click in **Pick Entities**, and run again.",
    )
    graph.group("Click it")
    picked = pick(graph, image, entities, '[{"x": 250, "y": 160}]')
    graph.group("Remove it")
    removed = graph.add("ESGInpaintOpenCV", {"image": image, "mask": picked["mask"], "grow": 6})
    save(graph, removed["image"], "esg/removed")
    return graph


@workflow("Say which of your masks")
def ground_your_masks(definitions: Definitions) -> Graph:
    graph = Graph(definitions)
    graph.group("Your masks")
    graph.note(
        "Finds which of your masks words refer to; the masks can come from any node.\n\nHere, two colours of the "
        "example picture stand in for your masks. Replace them with a batch of masks from SAM or a detector, with "
        "**Load Image (as Mask)**, or paint: right-click the photo, *Open in MaskEditor*, and link its "
        "MASK.\n\n`pieces` turns every connected piece into an entity. Switch it off for a batch with one mask per "
        "thing.",
        "Ground your own masks",
    )
    image = graph.add("LoadImage", {"image": "example.png"})["IMAGE"]
    blue = graph.add("ImageColorToMask", {"image": image, "color": 0x5E94FF}, title="Blue")
    green = graph.add("ImageColorToMask", {"image": image, "color": 0x5EFF67}, title="Green")
    both = graph.add(
        "MaskComposite",
        {"destination": blue["MASK"], "source": green["MASK"], "x": 0, "y": 0, "operation": "add"},
        title="All masks",
    )
    graph.group("Convert them to entities")
    entities = graph.add("ESGMasksToEntities", {"masks": both["MASK"], "pieces": True, "image": image})["entities"]
    grounder = graph.add("ESGLoadGrounder")["grounder"]
    graph.group("Ground words")
    said = {"grounder": grounder, "image": image, "entities": entities}
    said |= {"text": "the sky, the ground", "read_as": "a list of phrases"}
    grounded = graph.add("ESGGroundText", said, colours=GREEN)
    graph.add("PreviewImage", {"images": grounded["overlay"]}, title="Their entities", size=(420, 480))
    graph.add("PreviewAny", {"source": grounded["phrases"]}, title="As JSON", size=(420, 160))
    return graph


@workflow("Click and add detail (Impact Pack)")
def segs_to_detailer(definitions: Definitions) -> Graph:
    graph = Graph(definitions)
    image, entities = _segmented(
        graph,
        "Passes entities to the detailers of the **Impact Pack**, which must be installed (ComfyUI-Manager can do "
        "that). Each entity is one SEG, whose label is the phrase that refers to it.\n\nRun once, click in **Pick "
        "Entities**, and run again: only the picked entities are processed.",
    )
    graph.group("Click it")
    picked = pick(graph, image, entities, "centre")
    segs = graph.add("ESGEntitiesToSegs", {"entities": picked["picked"], "crop_factor": 2.0})["segs"]
    graph.group("Add detail (Impact Pack)", new_row=True)
    loader = load_checkpoint(graph, SD15)
    positive, negative = encode_prompts(graph, loader, "detailed textile, embroidery, studio light")
    detailed = graph.add(
        "DetailerForEach",
        {
            "image": image,
            "segs": segs,
            "model": loader["MODEL"],
            "clip": loader["CLIP"],
            "vae": loader["VAE"],
            "positive": positive,
            "negative": negative,
            "seed": 1,
            "cfg": 7.0,
            "denoise": 0.5,
        },
    )
    save(graph, detailed["IMAGE"], "esg/detailed")
    return graph


def _segmented(graph: Graph, note: str) -> tuple[NodeOutput, NodeOutput]:
    """Adds a group that loads a photo and segments it; returns its IMAGE and its entities."""
    graph.group("Segment a photo")
    graph.note(note, "What this does")
    image = graph.add("LoadImage", {"image": "example.png"})["IMAGE"]
    return image, segment(graph, image)


def read_definitions() -> Definitions:
    """Definitions of the pack's own nodes, from their classes, and of the others used in the graphs."""
    pack = load_pack()
    own = describe(pack.NODE_CLASS_MAPPINGS, pack.NODE_DISPLAY_NAME_MAPPINGS, "custom_nodes.esg")
    others = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(NODES.glob("*.json"))]
    return {name: definition for part in [own, *others] for name, definition in part.items()}


def describe(classes: dict[str, Any], titles: dict[str, str], module: str) -> dict[str, dict[str, Any]]:
    """The parts of ComfyUI's `/object_info` for node classes that graphs need."""
    return {
        name: {
            "display_name": titles.get(name, name),
            "python_module": module,
            "output_node": bool(getattr(node, "OUTPUT_NODE", False)),
            "output": list(node.RETURN_TYPES),
            "output_name": list(getattr(node, "RETURN_NAMES", node.RETURN_TYPES)),
            "input": node.INPUT_TYPES(),
        }
        for name, node in classes.items()
    }


def make(definitions: Definitions) -> dict[Path, str]:
    """The text of every file, by its path in `workflows/`.

    Raises:
        InputError: a graph does not fit the definitions.
    """
    files = {}
    for name, describe_graph in GRAPHS.items():
        graph = describe_graph(definitions)
        api = graph.to_api()
        check(api, definitions)
        for path, form in (Path(f"{name}.json"), to_ui(graph, name, PACKS)), (Path("api") / f"{name}.json", api):
            files[path] = json.dumps(form, indent=2, ensure_ascii=False) + "\n"
    return files


def main() -> None:
    (WORKFLOWS / "api").mkdir(parents=True, exist_ok=True)
    for path, text in make(read_definitions()).items():
        (WORKFLOWS / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
