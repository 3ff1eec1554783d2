"""Building blocks of graphs: segmenting a photo, repainting a crop with a diffusion model, and pasting it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ..version import __version__
from .graph import RANDOMIZE, Graph, Node, NodeOutput

VERSIONS = {"comfy-core": "0.8.0", "esg": __version__}  # versions of the packs that these nodes come from, for `to_ui`

GREEN, RED = ("#232", "#353"), ("#322", "#533")  # the frontend's colours for prompts
NEGATIVE = "blurry, watermark, text"
SD15_INPAINTING = {
    "name": "sd-v1-5-inpainting.safetensors",
    "url": "https://huggingface.co/webui/stable-diffusion-inpainting/resolve/main/sd-v1-5-inpainting.safetensors",
    "directory": "checkpoints",
}

Inputs = Mapping[str, Any]
Loader: TypeAlias = "Node | Mapping[str, NodeOutput]"  # gives MODEL, CLIP and VAE


def segment(
    graph: Graph, image: NodeOutput, loader: Inputs | None = None, settings: Inputs | None = None
) -> NodeOutput:
    """Segments an IMAGE, with inputs for the loader and the segmentation; → its entities."""
    segmenter = graph.add("ESGLoadSegmenter", loader)["segmenter"]
    return graph.add("ESGSegmentEntities", {"segmenter": segmenter, "image": image, **(settings or {})})["entities"]


def pick(graph: Graph, image: NodeOutput, entities: NodeOutput, picks: str) -> Node:
    """Lets the user click entities, starting with a choice in the language of `esg.choose`."""
    return graph.add("ESGPickEntities", {"image": image, "entities": entities, "picks": picks}, size=(460, 640))


def load_checkpoint(graph: Graph, checkpoint: Mapping[str, str]) -> Node:
    """Loads a diffusion model, given by name, url and directory."""
    return graph.add("CheckpointLoaderSimple", {"ckpt_name": checkpoint["name"]}, models=[checkpoint])


def encode_prompts(
    graph: Graph, loader: Loader, prompt: str | NodeOutput, negative: str = NEGATIVE
) -> tuple[NodeOutput, NodeOutput]:
    """The conditionings of a prompt and a negative prompt."""
    texts = (prompt, "Prompt", GREEN), (negative, "Negative prompt", RED)
    positive, other = (
        graph.add("CLIPTextEncode", {"text": text, "clip": loader["CLIP"]}, title=title, colours=colours)
        for text, title, colours in texts
    )
    return positive["CONDITIONING"], other["CONDITIONING"]


def sample(graph: Graph, loader: Loader, inputs: Inputs, after_run: str = RANDOMIZE) -> NodeOutput:
    """Runs the diffusion; → its result.

    Args:
        graph: graph to add to.
        loader: loader of the checkpoint; its VAE decodes.
        inputs: inputs of KSampler: model, positive, negative, latent_image, and fields that differ from the defaults.
        after_run: control of the seed after a run.
    """
    settings = {"seed": 1, "steps": 25, "cfg": 7.0, "sampler_name": "dpmpp_2m", "scheduler": "karras", **inputs}
    latent = graph.add("KSampler", settings, after_run=after_run)
    return graph.add("VAEDecode", {"samples": latent["LATENT"], "vae": loader["VAE"]})["IMAGE"]


def inpaint(
    graph: Graph,
    loader: Node,
    cut: Node,
    prompt: str | NodeOutput,
    negative: str = NEGATIVE,
    settings: Inputs | None = None,
    after_run: str = RANDOMIZE,
) -> NodeOutput:
    """Repaints a crop with an inpainting checkpoint; → the repainted crop.

    Args:
        graph: graph to add to.
        loader: loader of the checkpoint.
        cut: the node Mask to Inpaint.
        prompt: a text, or an output that gives one.
        negative: description of content to avoid.
        settings: fields of KSampler that differ from the defaults.
        after_run: control of the seed after a run.
    """
    positive, other = encode_prompts(graph, loader, prompt, negative)
    conditioned = graph.add(
        "InpaintModelConditioning",
        {
            "positive": positive,
            "negative": other,
            "vae": loader["VAE"],
            "pixels": cut["crop"],
            "mask": cut["generation_mask"],
        },
    )
    given = {"positive": "positive", "negative": "negative", "latent_image": "latent"}
    links = {"model": loader["MODEL"], **{to: conditioned[out] for to, out in given.items()}}
    return sample(graph, loader, {**links, **(settings or {})}, after_run)


def repaint(
    graph: Graph, loader: Loader, cut: Node, prompt: str | NodeOutput, denoise: float | NodeOutput
) -> NodeOutput:
    """Repaints a crop with any checkpoint; → its result.

    Args:
        graph: graph to add to.
        loader: loader of the checkpoint.
        cut: the node Mask to Inpaint.
        prompt: a text, or an output that gives one.
        denoise: how much of the original to replace, 0..1, or an output that gives it.
    """
    positive, negative = encode_prompts(graph, loader, prompt)
    model = graph.add("DifferentialDiffusion", {"model": loader["MODEL"]})
    latent = graph.add("VAEEncode", {"pixels": cut["crop"], "vae": loader["VAE"]})
    masked = graph.add("SetLatentNoiseMask", {"samples": latent["LATENT"], "mask": cut["blend_mask"]})
    links = {"model": model["MODEL"], "positive": positive, "negative": negative, "latent_image": masked["LATENT"]}
    return sample(graph, loader, {**links, "denoise": denoise})


def stitch(graph: Graph, image: NodeOutput, made: NodeOutput, cut: Node, settings: Inputs | None = None) -> NodeOutput:
    """Pastes a crop back, in a separate group; → the whole picture."""
    graph.group("Put it back")
    given = {"image": image, "inpainted": made, "stitch": cut["stitch"], **(settings or {})}
    return graph.add("ESGInpaintStitch", given)["image"]


def save(graph: Graph, image: NodeOutput, prefix: str) -> None:
    """Saves a picture in the output folder, under a name with this prefix."""
    graph.add("SaveImage", {"images": image, "filename_prefix": prefix}, size=(420, 480))
