"""Trains GELLA: settings, and the losses of a step (paper Sec. 4.2, Eq. 12, 13, 16 and 17)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.gella.association import QueryMatching, at_stride, overlaps, tie
from ..models.gella.checkpoint import load_gella, write_gella
from ..models.gella.config import PRESETS, GellaConfig
from ..models.gella.language import our_key
from ..models.gella.model import Gella, Reconstruction, TrainingOutput
from ..models.gella.published import load_clip_vision, load_encoder, read_llava
from ..models.gella.tower import EfficientTower
from ..models.layers.efficientnet import load_efficientnet
from ..models.normalisation import CLIP_MEAN, CLIP_STD, centred, normalised
from ..support.errors import InputError
from .auxiliary import GellaInTraining, auxiliary_losses
from .config import (
    LOSS,
    RANGE,
    SCENES,
    SEED,
    SHARE,
    WEIGHTS,
    Rule,
    RunConfig,
    at_least,
    one_of,
    training_device,
    training_dtype,
)
from .gella_init import begin_from, start_of
from .imagenet import imagenet_weights
from .lora import add_lora, merged
from .losses import LossConfig, anchor_losses, level_losses
from .narratives import TASKS, GroundingBatch, NarrativeConfig, Narratives
from .norms import NORMS, with_norms
from .recall import measure_narratives
from .run_folder import TOKENIZER
from .settings import filled

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SMALL_MODEL = LossConfig(ce=2.0, points=512, uncertain=0.5, balanced=0.4, smallest=12)


def _are_chances(value: tuple[float, ...]) -> bool:
    return len(value) == len(TASKS) and min(value) >= 0 and math.isclose(sum(value), 1)


@dataclass(frozen=True)
class GellaTrainConfig(RunConfig):
    """Settings of a training run of GELLA.

    Attributes:
        preset: a name in `gella.config.PRESETS`.
        model: changes to the preset's architecture, as names and values of `GellaConfig` and its nested dataclasses:
            {"colours": "location", "blend": {"skip": False}}.
        samples: settings of the training samples.
        loss: weights and point sampling of the mask losses; the other two losses have weight 1 (Eq. 17).
        association: weight of the association loss; 1 in the paper.
        all_queries: whether the association loss counts all queries, G^A of Eq. 16; if not, only those that reconstruct
            an entity (see `association_loss`).
        auxiliary: weight of the auxiliary losses in `auxiliary`; the paper has none.
        lora: rank of the LoRA updates of the language model's layers (see `lora`); 0 trains these layers in full.
        gradient_checkpointing: whether to recompute the layers of vision and language in the backward pass, which takes
            a third more time and saves most of the memory.
        backbone_init: ImageNet weights for the EfficientNet of a new run, a file or "efficientnet-lite0" (see
            `imagenet`). With it, `init` may be weights of another architecture with another vocabulary: whatever fits
            is copied, and tokens are matched by their spelling.
        encoder_init: folder of a MobileNetV2 or Swin Transformer for ImageNet that a new colormap encoder starts from,
            as published on the Hugging Face hub; None: random.
        encoder_norms: batch norms of the colormap encoder, a name in `norms.NORMS`; "frozen" needs weights to start
            from.
        vision_init: folder of a CLIP that the vision encoder of a new run starts from, instead of that of `init`; for
            224 pixels, OpenAI's own (Table XV a).
        heads_pictures: if above 0, trains only the layers after the model's features, on this many pictures whose
            features are computed once (see `heads`); 0 trains everything.
        measure_scenes: number of held-out scenes on which the averaged weights are measured.
    """

    preset: str = "gella-nano"
    model: dict[str, Any] = field(default_factory=dict)
    samples: NarrativeConfig = field(default_factory=NarrativeConfig)
    loss: LossConfig = SMALL_MODEL
    association: float = 1.0
    all_queries: bool = False
    auxiliary: float = 0.5
    lora: int = 0
    gradient_checkpointing: bool = False
    backbone_init: str | None = None
    encoder_init: str | None = None
    encoder_norms: str = "own"
    vision_init: str | None = None
    heads_pictures: int = 0
    measure_scenes: int = 32
    lr: float = 5e-4
    clip: float = 1.0

    allowed: ClassVar[dict[str, Rule]] = {
        **RunConfig.allowed,
        **SCENES,
        **LOSS,
        "samples.batch": at_least(1),
        "samples.texts": at_least(1),
        "samples.tasks": (_are_chances, f"{len(TASKS)} numbers from 0 to 1 whose sum is 1"),
        "samples.sides": RANGE,
        "samples.photo_share": SHARE,
        "samples.narrative_share": SHARE,
        "samples.expression_share": SHARE,
        "samples.photo_weights": WEIGHTS,
        "samples.absent": RANGE,
        "samples.referring": SHARE,
        "samples.mask_noise": SHARE,
        "samples.seed": SEED,
        "backbone_lr": (lambda value: value == 1, "1, because GELLA's backbone does not have a rate of its own"),
        "association": at_least(0),
        "encoder_norms": one_of(NORMS),
        "auxiliary": at_least(0),
        "lora": at_least(0),
        "heads_pictures": at_least(0),
        "measure_scenes": at_least(1),
    }

    @property
    def architecture(self) -> GellaConfig:
        """The preset with the changes in `model`.

        Raises:
            InputError: the preset does not exist, or `model` has an unknown name or an invalid value.
        """
        if self.preset not in PRESETS:
            raise InputError(f"There is no preset {self.preset!r}; use one of {', '.join(PRESETS)}.")
        return filled(PRESETS[self.preset], self.model, "The setting model")


class GellaTask:
    """A `loop.Task`: pictures, masks and texts; trains captions, nouns and grounding together.

    Args:
        config: settings of the run.
        tokenizer: tokenizer of the language model.

    Raises:
        InputError: the architecture does not exist.
    """

    def __init__(self, config: GellaTrainConfig, tokenizer: Tokenizer) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.preset, self.architecture = config.preset, config.architecture
        known = dataclasses.asdict(PRESETS[self.preset])
        own = dataclasses.asdict(self.architecture)
        self.changes = {name: value for name, value in own.items() if value != known[name]}
        if config.lora:
            self.changes["lora"] = config.lora
        self.seed = config.samples.seed
        self.partial = config.samples.tasks[TASKS.index("ground")] < 1  # a step may use language only
        self.files = {TOKENIZER: tokenizer.to_str()}

    def model(self, *, new: bool) -> GellaInTraining:
        """The model; a new run starts from the weights in `config.init`, if given.

        Raises:
            InputError: a setting is for a part that the model does not have, or batch norms without statistics would be
                frozen.
            WeightsError: weights do not fit.
            EsgError: LoRA is used, but peft is not installed.
        """
        config = self.config
        init = start_of(config.init) if new and config.init is not None else None
        if init is not None and init.is_dir():
            model = Gella(self.architecture, read_llava(self.architecture, init))
        else:
            model = Gella(self.architecture)
            if init is not None and config.backbone_init is None:
                load_gella(model, init)
            elif init is not None:
                begin_from(model, self.tokenizer, init)
        tower = model.language.tower
        if isinstance(tower, EfficientTower):
            if new and config.backbone_init is not None:
                weights = imagenet_weights(config.backbone_init)
                mean, std = (tuple(255 * value for value in values) for values in (CLIP_MEAN, CLIP_STD))
                load_efficientnet(tower.backbone, weights, mean, std)
            tower.backbone.requires_grad_(False)
        elif config.backbone_init is not None:
            raise InputError(f"The setting backbone_init is for a vision tower that {self.preset} does not have.")
        if new and config.vision_init is not None:
            if isinstance(tower, EfficientTower):
                raise InputError(f"The setting vision_init is for a CLIP, which {self.preset} does not have.")
            load_clip_vision(model.language, Path(config.vision_init))
        if new and config.encoder_init is not None:
            load_encoder(model.colormap, Path(config.encoder_init))
        elif new and config.encoder_norms == "frozen" and (init is None or init.is_dir()):
            raise InputError("Frozen encoder_norms need statistics to keep; give encoder_init, or use synchronised.")
        with_norms(model.colormap, config.encoder_norms, training_device(config))
        if config.lora:
            add_lora(model.language, config.lora)
        if config.gradient_checkpointing:
            llava = model.language.llava
            # Newer versions of transformers use the first name and warn about the second.
            enable = getattr(llava, "activation_checkpointing_enable", llava.gradient_checkpointing_enable)
            enable({"use_reentrant": False})
        return GellaInTraining(model)

    def lasting_name(self, name: str) -> str:
        """The name in GELLA's weight files; transformers' own names differ between versions."""
        before, of_llava, key = name.partition("language.llava.")
        return f"{before}language.{our_key(key)}" if of_llava else name

    def batches(self, start: int, stop: int, rank: int) -> Generator[GroundingBatch, None, None]:
        """The batches of some steps, see `Narratives`."""
        samples = Narratives(self.config.samples, self.architecture, self.tokenizer, rank)
        return samples.batches(start, stop, self.config.workers)

    def losses(
        self, model: nn.Module, batch: GroundingBatch, device: torch.device, autocast: AbstractContextManager[Any]
    ) -> dict[str, Tensor]:
        """The loss terms of one step."""
        grounded = [index for index, truth in enumerate(batch.truths) if truth is not None]
        texts = [text.to(device) for text in batch.texts]
        with autocast:
            heard, told = model(
                normalised(batch.pixels.to(device)),
                centred(batch.colormaps.to(device)),
                texts,
                batch.pictures,
                grounded,
            )
        terms = {"answer": F.cross_entropy(heard.answers.float(), heard.wanted)}
        if heard.masks is None:
            return terms
        shown = sorted({batch.pictures[text] for text in grounded})
        labels = batch.labels[shown].to(device)
        truths = [truth.to(device) for truth in batch.truths if truth is not None]
        words = [batch.words[picture].to(device) for picture in shown]
        ties = match_queries(heard.masks, labels)
        terms |= mask_losses(heard.masks, labels, self.config.loss)
        asked = association_loss(heard, ties, truths, self.config.all_queries)
        terms["association"] = self.config.association * asked
        auxiliary = auxiliary_losses(told, ties, labels, words)
        return terms | {name: self.config.auxiliary * value for name, value in auxiliary.items()}

    def can_measure(self) -> bool:
        """Always True: measuring needs nothing that training does not."""
        return True

    def measure(
        self, model: nn.Module, state: dict[str, Tensor], device: torch.device, autocast: AbstractContextManager[Any]
    ) -> dict[str, float]:
        """How well the averaged weights understand held-out narratives, see `measure_narratives`."""
        assert isinstance(model, GellaInTraining)
        precision = training_dtype(self.config, device)  # the same as `autocast`; inference enters it by itself
        return measure_narratives(model, state, self.tokenizer, self.config.measure_scenes, device, precision)

    def write(self, out: Path, state: dict[str, Tensor], steps: int) -> None:
        """Writes weights as fp16 safetensors with architecture and tokenizer in the metadata."""
        of_gella = {name.removeprefix("gella."): value for name, value in state.items() if name.startswith("gella.")}
        write_gella(out, merged(of_gella), self.architecture, self.tokenizer, preset=self.preset, steps=steps)


def mask_losses(masks: Reconstruction, labels: Tensor, config: LossConfig) -> dict[str, Tensor]:
    """L_seg of Eq. 13 over all prediction heads: the decoder must reconstruct the given masks.

    Args:
        masks: reconstruction for G pictures.
        labels: (G, M, M) int, the given entities.
        config: weights and point sampling.
    """
    features, maps = masks.features.float()[:, None], labels.long()[:, None]
    terms = {} if masks.anchors is None else anchor_losses(features, masks.anchors, maps, config)
    level = level_losses(features, masks.heads, maps, config, ranked=masks.anchors is not None)
    return terms | {f"mask_{name}": value for name, value in level.items()}


def match_queries(masks: Reconstruction, labels: Tensor) -> list[QueryMatching]:
    """Matches queries to the given entities (G, M, M) of G pictures."""
    shown = (masks.masks().detach() > 0).flatten(2)  # (G, Q, h · w)
    small = at_stride(labels, masks.features.shape[-1]).flatten(1)
    return [tie(overlaps(own, given, int(full.max()))) for own, given, full in zip(shown, small, labels)]


def association_loss(
    heard: TrainingOutput, ties: Sequence[QueryMatching], truths: Sequence[Tensor], all_queries: bool = False
) -> Tensor:
    """L_asso of Eq. 16: the mean over all pairs of a noun and a query.

    Args:
        heard: output of the model.
        ties: query matching for each of the G pictures, see `match_queries`.
        truths: (v, N) bool for every grounded text.
        all_queries: whether all queries count: each stands for the entity that it represents in inference, and the
            others are not meant by any noun. If not, only queries that reconstruct an entity count.
    """
    losses = []
    for own, place, truth in zip(heard.scores, heard.places, truths):
        tie = ties[place]
        if all_queries:
            pairs, wanted = own.float(), torch.zeros_like(own, dtype=torch.float32)  # (v, Q)
            known = (tie.queries >= 0).nonzero()[:, 0]
            wanted[:, tie.queries[known]] = truth[:, known].float()
        else:
            matched = tie.matched.nonzero()[:, 0]
            pairs, wanted = own[:, tie.queries[matched]].float(), truth[:, matched].float()  # (v, matched)
        losses.append(F.binary_cross_entropy_with_logits(pairs, wanted, reduction="none").flatten())
    pairs = torch.cat(losses)
    return pairs.mean() if len(pairs) else heard.scores[0].sum() * 0
