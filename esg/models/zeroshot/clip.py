"""CLIP (Radford et al., 2021): texts, pictures and the patches of a picture in one space of embeddings."""

from __future__ import annotations

import contextlib
import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ...language.knowing import has_words, is_known
from ...support.device import release_memory
from ...support.errors import WeightsError
from ...support.memory import is_out_of_memory
from ...support.weight_files import read_state_dict
from ..normalisation import normalised
from .folders import check_files

if TYPE_CHECKING:
    from transformers import CLIPModel

log = logging.getLogger(__name__)

_One = TypeVar("_One")
_AT_ONCE = 16  # crops, which take 150 MB in the widest layer of ViT-L/14-336; or the same number of texts
_LONGEST = 2  # maximum long side of a picture, in multiples of CLIP's square input


class ClipModel:
    """A CLIP model, ready to embed texts and pictures.

    The weights stay in float32, 1.7 GB for ViT-L/14-336: similarities differ in the third decimal, which half precision
    would round away.

    Attributes:
        device: the device it runs on.
        network: the transformers model.
    """

    def __init__(
        self,
        model: CLIPModel,
        tokenizer: Any,
        device: torch.device | str = "cpu",
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.device = torch.device(device)
        self._precision = precision
        self.network: Any = model.eval().float().to(self.device)
        self._tokenizer = tokenizer
        self._has_words = has_words(tokenizer.get_vocab())

    @classmethod
    def from_folder(cls, folder: Path, device: torch.device, precision: torch.dtype) -> ClipModel:
        """Reads a model of the Hugging Face hub; if it is a PyTorch checkpoint, only its tensors.

        Raises:
            WeightsError: files are missing or damaged, or belong to another type of model.
        """
        from transformers import AutoTokenizer, CLIPConfig, CLIPModel

        weights = check_files(folder, pickled=True)
        try:
            kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
            if kind != "clip":
                raise WeightsError(f"{folder} holds a model of type {kind}; choose a CLIP model.")
            model = CLIPModel(CLIPConfig.from_pretrained(folder, local_files_only=True))
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except WeightsError:
            raise
        except Exception as error:  # the types that damaged files raise depend on the version
            reason = " ".join(str(error).split())[:160]
            raise WeightsError(f"The CLIP model in {folder} is damaged ({reason}); get its files again.") from error
        _fill(model, weights)
        return cls(model, tokenizer, device, precision)

    @property
    def side(self) -> int:
        """Side of its square input pictures, in pixels."""
        return self.network.config.vision_config.image_size

    @property
    def scale(self) -> float:
        """Scale of the cosines in the softmax it was trained with."""
        return float(self.network.logit_scale.detach().exp())

    def knows(self, word: str) -> bool:
        """See `gella.knowing.KnowsWords.knows`."""
        return not self._has_words or is_known(word, self._pieces)

    def _pieces(self, text: str) -> list[str]:
        ids = self._tokenizer(text, add_special_tokens=False).input_ids
        return [self._tokenizer.decode([token]) for token in ids]

    def to(self, device: torch.device) -> None:
        """Moves the model."""
        self.network.to(device)
        self.device = device

    def patches(self, pixels: np.ndarray) -> Tensor:
        """Embeddings of the patches of a picture, by the method of MaskCLIP (Zhou, Loy and Dai, ECCV 2022).

        In the last layer, every patch attends only to itself, so its own values take the place of the embedding of the
        whole picture. The picture keeps its aspect ratio: its short side has the length of CLIP's square, and position
        embeddings are interpolated.

        Args:
            pixels: (H, W, 3) uint8 RGB.

        Returns:
            (rows, columns, D) float32, of length 1.
        """
        patch = self.network.config.vision_config.patch_size
        height, width = _patch_size(pixels.shape[0], pixels.shape[1], self.side, patch)
        scaled = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
        vision = self.network.vision_model
        with self._computing():
            seen = vision(
                pixel_values=self._normalised([np.asarray(scaled)]),
                interpolate_pos_encoding=True,
                output_hidden_states=True,
            )
            layer = vision.encoder.layers[-1]
            x = seen.hidden_states[-2][0, 1:]  # (rows · columns, C), without the token of the whole picture
            x = x + layer.self_attn.out_proj(layer.self_attn.v_proj(layer.layer_norm1(x)))
            x = x + layer.mlp(layer.layer_norm2(x))
            embeddings = self.network.visual_projection(vision.post_layernorm(x))
        return F.normalize(embeddings.float(), dim=-1).unflatten(0, (height // patch, width // patch))

    def pictures(self, pictures: Iterable[np.ndarray]) -> Tensor:
        """(side, side, 3) uint8 RGB each → (N, D) float32 of length 1. Only some are held at once."""

        def embedded(some: Sequence[np.ndarray]) -> Tensor:
            seen = self.network.vision_model(pixel_values=self._normalised(some)).pooler_output
            return self.network.visual_projection(seen)

        return self._by_parts(pictures, embedded)

    def texts(self, ensembles: Sequence[Sequence[str]]) -> Tensor:
        """Texts, each in several wordings, truncated if too long → (T, D) float32 of length 1."""
        longest = self.network.config.text_config.max_position_embeddings

        def embedded(some: Sequence[str]) -> Tensor:
            tokens = self._tokenizer(some, padding=True, truncation=True, max_length=longest, return_tensors="pt")
            said = self.network.text_model(
                input_ids=tokens.input_ids.to(self.device), attention_mask=tokens.attention_mask.to(self.device)
            )
            return self.network.text_projection(said.pooler_output)

        found = self._by_parts((sentence for ensemble in ensembles for sentence in ensemble), embedded)
        means = [part.mean(0) for part in found.split([len(ensemble) for ensemble in ensembles])]
        return F.normalize(torch.stack(means), dim=-1)

    def _by_parts(self, items: Iterable[_One], embedded: Callable[[Sequence[_One]], Tensor]) -> Tensor:
        """Embeds a few items at a time, and fewer if the device runs out of memory → (N, D) of length 1."""
        waiting, at_once = iter(items), _AT_ONCE
        found = [torch.zeros(0, self.network.config.projection_dim, device=self.device)]
        some: list[_One] = []
        while some := some or list(islice(waiting, at_once)):
            now = some[:at_once]
            try:
                with self._computing():
                    embeddings = embedded(now)
            except (MemoryError, RuntimeError) as error:
                if len(now) == 1 or not is_out_of_memory(error):
                    raise
            else:
                found.append(F.normalize(embeddings.float(), dim=-1))
                some = some[len(now) :]
                continue
            # Outside the handler, so that nothing keeps the failed attempt's memory alive.
            release_memory(self.device)
            at_once = math.ceil(len(now) / 2)
            log.warning("Not enough memory for %d at a time; continuing with %d.", len(now), at_once)
        return torch.cat(found)

    def _normalised(self, pictures: Sequence[np.ndarray]) -> Tensor:
        return normalised(torch.from_numpy(np.stack(pictures)).to(self.device).permute(0, 3, 1, 2))

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        half = torch.autocast(self.device.type, self._precision, enabled=self._precision != torch.float32)
        with torch.inference_mode(), half:
            yield


def _patch_size(height: int, width: int, side: int, patch: int) -> tuple[int, int]:
    """Height and width in pixels, multiples of the patch size, to which a picture is resized."""
    scale = side / min(height, width)
    tall, wide = (round(min(extent * scale, _LONGEST * side) / patch) * patch for extent in (height, width))
    return tall, wide


def _fill(model: CLIPModel, files: Sequence[Path]) -> None:
    """Loads all weights or none. Older files also contain position ids, which are not weights."""
    given = {name: value for path in files for name, value in read_state_dict(path)[0].items()}
    state = {name: value for name, value in given.items() if not name.endswith(".position_ids")}
    own = model.state_dict()
    wrong = [name for name, value in own.items() if name not in state or state[name].shape != value.shape]
    if wrong := sorted([*wrong, *(state.keys() - own.keys())]):
        raise WeightsError(
            f"{files[0]} does not fit the model that its folder describes: {len(wrong)} weights are missing, unknown "
            f"or have another shape, such as {wrong[0]}."
        )
    model.load_state_dict(state)
