"""Pieces that graphs have in common: a photo taken apart, a crop repainted by a diffusion model, and put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from .. import __version__
from .graph import RANDOMIZE, Graph, Node, Output

VERSIONS = {"comfy-core": "0.8.0", "esg": __version__}  # of the packs that the nodes below come from, for `to_ui`

GREEN, RED = ("#232", "#353"), ("#322", "#533")  # as the frontend colours prompts
NEGATIVE = "blurry, watermark, text"
SD15_INPAINTING = {
    "name": "sd-v1-5-inpainting.safetensors",
    "url": "https://huggingface.co/webui/stable-diffusion-inpainting/resolve/main/sd-v1-5-inpainting.safetensors",
    "directory": "checkpoints",
}

Inputs = Mapping[str, Any]
Loader: TypeAlias = "Node | Mapping[str, Output]"  # gives MODEL, CLIP and VAE


def segment(graph: Graph, image: Output, loader: Inputs | None = None, settings: Inputs | None = None) -> Output:
    """Takes an IMAGE apart, with inputs of the loader and of the segmentation; → its entities."""
    segmenter = graph.add("ESGLoadSegmenter", loader)["segmenter"]
    return graph.add("ESGSegmentEntities", {"segmenter": segmenter, "image": image, **(settings or {})})["entities"]


def pick(graph: Graph, image: Output, entities: Output, picks: str) -> Node:
    """Has entities clicked, after a choice in the language of `esg.choose`."""
    return graph.add("ESGPickEntities", {"image": image, "entities": entities, "picks": picks}, size=(460, 640))


def load_checkpoint(graph: Graph, checkpoint: Mapping[str, str]) -> Node:
    """Loads a diffusion model, of which name, url and directory are given."""
    return graph.add("CheckpointLoaderSimple", {"ckpt_name": checkpoint["name"]}, models=[checkpoint])


def encode_prompts(
    graph: Graph, loader: Loader, prompt: str | Output, negative: str = NEGATIVE
) -> tuple[Output, Output]:
    """The conditionings of a prompt and of a negative one."""
    texts = (prompt, "Prompt", GREEN), (negative, "Negative prompt", RED)
    positive, other = (
        graph.add("CLIPTextEncode", {"text": text, "clip": loader["CLIP"]}, title=title, colours=colours)
        for text, title, colours in texts
    )
    return positive["CONDITIONING"], other["CONDITIONING"]


def sample(graph: Graph, loader: Loader, inputs: Inputs, after_run: str = RANDOMIZE) -> Output:
    """Runs the diffusion; → what it made.

    Args:
        graph: is added to.
        loader: of the checkpoint; its VAE decodes.
        inputs: of KSampler: model, positive, negative, latent_image, and fields that are to be other than usual.
        after_run: what becomes of the seed.
    """
    settings = {"seed": 1, "steps": 25, "cfg": 7.0, "sampler_name": "dpmpp_2m", "scheduler": "karras", **inputs}
    latent = graph.add("KSampler", settings, after_run=after_run)
    return graph.add("VAEDecode", {"samples": latent["LATENT"], "vae": loader["VAE"]})["IMAGE"]


def inpaint(
    graph: Graph,
    loader: Node,
    cut: Node,
    prompt: str | Output,
    negative: str = NEGATIVE,
    settings: Inputs | None = None,
    after_run: str = RANDOMIZE,
) -> Output:
    """Repaints a crop with a checkpoint for inpainting; → what it made of it.

    Args:
        graph: is added to.
        loader: of the checkpoint.
        cut: the node Mask to Inpaint.
        prompt: a text, or what gives one.
        negative: what is not wanted.
        settings: fields of KSampler that are to be other than usual.
        after_run: what becomes of the seed.
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


def repaint(graph: Graph, loader: Loader, cut: Node, prompt: str | Output, denoise: float | Output) -> Output:
    """Repaints a crop with any checkpoint; → what it made of it.

    Args:
        graph: is added to.
        loader: of the checkpoint.
        cut: the node Mask to Inpaint.
        prompt: a text, or what gives one.
        denoise: how far it goes away from what was there, 0..1, or what gives it.
    """
    positive, negative = encode_prompts(graph, loader, prompt)
    model = graph.add("DifferentialDiffusion", {"model": loader["MODEL"]})
    latent = graph.add("VAEEncode", {"pixels": cut["crop"], "vae": loader["VAE"]})
    masked = graph.add("SetLatentNoiseMask", {"samples": latent["LATENT"], "mask": cut["blend_mask"]})
    links = {"model": model["MODEL"], "positive": positive, "negative": negative, "latent_image": masked["LATENT"]}
    return sample(graph, loader, {**links, "denoise": denoise})


def stitch(graph: Graph, image: Output, made: Output, cut: Node, settings: Inputs | None = None) -> Output:
    """Puts a crop back, in a group of its own; → the whole picture."""
    graph.group("Put it back")
    given = {"image": image, "inpainted": made, "stitch": cut["stitch"], **(settings or {})}
    return graph.add("ESGInpaintStitch", given)["image"]


def save(graph: Graph, image: Output, prefix: str) -> None:
    """Saves a picture in the output folder, under a name that begins so."""
    graph.add("SaveImage", {"images": image, "filename_prefix": prefix}, size=(420, 480))
