"""Configurations of GELLA: the paper's, with LLaVA-1.5 7B and 13B, and a small one that comes with the package."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...language.coco_names import NAMES, SHAPES, SYNONYMS
from ...support.errors import InputError, WeightsError
from .colormap import COLOURS
from .colormap_encoder import ENCODERS
from .resoblend import BlendConfig

if TYPE_CHECKING:
    from transformers import LlavaConfig


def _check_sizes(part: str, sizes: Any) -> None:
    """Raises InputError unless sizes are 1 or more, token ids 0 or more, and the heads divide the width."""
    for name, value in vars(sizes).items():
        least = 0 if name.endswith("_token") else 1
        if isinstance(value, int | float) and not isinstance(value, bool) and value < least:
            raise InputError(f"The {name} of {part} is {value}, but must be at least {least}.")
    if sizes.width % sizes.heads:
        raise InputError(f"The width of {part}, {sizes.width}, must be a multiple of its {sizes.heads} heads.")


TOWERS = ("clip", "efficientnet-lite0")
PROJECTIONS = ("mlp", "linear")


@dataclass(frozen=True)
class VisionConfig:
    """The vision encoder; the defaults are CLIP's ViT-L/14 at 336 pixels.

    Attributes:
        width, ffn, layers, heads: of the transformer; for an EfficientNet, of its neck, which has no heads.
        side: side of the square input image in pixels.
        patch: side of a patch in pixels; for an EfficientNet, of a grid cell.
        tower: "clip", or "efficientnet-lite0" (see `tower`).
        pool: each image token of the language model is the mean of pool × pool patches.

    Raises:
        InputError: see `GellaConfig`.
    """

    width: int = 1024
    ffn: int = 4096
    layers: int = 24
    heads: int = 16
    side: int = 336
    patch: int = 14
    tower: str = "clip"
    pool: int = 1

    def __post_init__(self) -> None:
        _check_sizes("vision", self)
        if self.tower not in TOWERS:
            raise InputError(f"Unknown vision tower {self.tower!r}; choose one of {', '.join(TOWERS)}.")
        if self.tower != "clip" and (
            self.patch % 4 or self.side % self.patch or self.side % 32 or self.grid % self.pool
        ):
            raise InputError(
                f"A {self.tower} needs a side that is a multiple of 32 and of its patch, a patch that is a "
                "multiple of 4, and a pool that divides its grid."
            )
        if self.tower == "clip" and self.pool != 1:
            raise InputError("The tokens of CLIP are its patches; the pool must be 1.")
        if self.side < self.patch:
            raise InputError(f"The side of vision is {self.side}, but must be at least its patch, {self.patch}.")

    @property
    def grid(self) -> int:
        """Number of rows of the feature grid, which is also its number of columns."""
        return self.side // self.patch

    @property
    def tokens(self) -> int:
        """Number of tokens of the language model's context that an image takes."""
        return (self.grid // self.pool) ** 2


@dataclass(frozen=True)
class LanguageConfig:
    """The LLaMA language model; the defaults are those of LLaVA-1.5 7B.

    Attributes:
        vocabulary: number of tokens.
        width, ffn, layers, heads: of the transformer.
        context: maximum number of tokens, including those of the image.
        image_token, pad_token, seg_token: ids. LLaVA's embedding table has unused rows; <SEG> takes the first one.
        begin_token, end_token: ids of the tokens around a text.
        cased: whether the model knows capitals. A small model does not, because it has learnt each word as one token;
            every text is normalised to the case of its training data (see `conversation.uncased`).

    Raises:
        InputError: see `GellaConfig`.
    """

    vocabulary: int = 32064
    width: int = 4096
    ffn: int = 11008
    layers: int = 32
    heads: int = 32
    context: int = 4096
    image_token: int = 32000
    pad_token: int = 32001
    seg_token: int = 32002
    begin_token: int = 1
    end_token: int = 2
    cased: bool = True

    def __post_init__(self) -> None:
        _check_sizes("language", self)
        if self.width // self.heads % 2:
            raise InputError(f"The width of language, {self.width}, must be an even number for each of its heads.")
        if max(value for name, value in vars(self).items() if name.endswith("_token")) >= self.vocabulary:
            raise InputError(f"The tokens of language must be below the size of its vocabulary, {self.vocabulary}.")


@dataclass(frozen=True)
class DecoderConfig:
    """The mask decoder: Mask2Former's pixel decoder and masked-attention decoder, whose sizes are the defaults.

    Attributes:
        width: channels of features, queries and masks; a multiple of 32 and of `heads`.
        heads: number of heads of every attention in the decoder and in ResoBlend.
        queries: maximum number of entities that one pass reconstructs.
        layers, ffn: of the masked-attention decoder.
        encoder_layers, encoder_ffn, points: of the deformable encoder.
        anchors: see `layers.anchors`; None: as published, without anchors.

    Raises:
        InputError: see `GellaConfig`.
    """

    width: int = 256
    heads: int = 8
    queries: int = 100
    layers: int = 9
    ffn: int = 2048
    encoder_layers: int = 6
    encoder_ffn: int = 1024
    points: int = 4
    anchors: int | None = None

    def __post_init__(self) -> None:
        _check_sizes("decoder", self)
        if self.width % 32:
            raise InputError(f"The width of decoder must be a multiple of 32, not {self.width}.")


@dataclass(frozen=True)
class GellaConfig:
    """All settings that decide the shape of the weights and how images are fed to the model.

    Attributes:
        vision, language, decoder, blend: configurations of the parts.
        encoder: the colormap encoder, a key of `colormap_encoder.ENCODERS`.
        encoder_scale: factor for the colormap encoder's number of channels.
        colormap_side: side of the colormap in pixels, a multiple of 16; independent of the image's resolution.
        colours: method that assigns colours to entities, a key of `colormap.COLOURS`.
        gap: gaps between masks of up to this width, as a share of the colormap's side, are closed before the masks are
            encoded; 0 encodes the masks as they are given.
        projection: how the language model gets the image, a name in `PROJECTIONS`: "mlp" is LLaVA-1.5's, two layers on
            the features before the vision encoder's last layer; "linear" is Eq. 10, one layer on the last layer's.
        association: channels that both sides of the association are projected to.
        association_layers: fully connected layers on each side of the association, 1 or 2 (Table XXIII).
        words: whether a noun's embedding also contains its own words, besides the hidden state of its <SEG> token.
            Without them, a small model that has learnt from few texts confuses names. The paper has no such part.
        drafts: number of captions that are written of an image before the one whose nouns are grounded best is chosen.
            A small model writes plausible captions more easily than it tells true from false ones while writing.
        mends: whether a rule of thumb repairs the nouns that the language model lists (see `nouns.mended`); if not, the
            nouns are those of its answer that occur in the sentence.
        names: all names that a small model has learnt; it looks for them before it describes an image. Empty for a
            model with an open vocabulary.
        synonyms: the learnt name for each synonym, in the singular (see `known_words`).

    Raises:
        InputError: a name is unknown, the colormap's side is not a multiple of 16, or a number, also in a part, is out
            of its range or does not fit another one.
    """

    vision: VisionConfig = VisionConfig()
    language: LanguageConfig = LanguageConfig()
    decoder: DecoderConfig = DecoderConfig()
    blend: BlendConfig = field(default_factory=BlendConfig)
    encoder: str = "mobilenet-v2"
    encoder_scale: float = 1.0
    colormap_side: int = 512
    colours: str = "random"
    gap: float = 0.04
    projection: str = "mlp"
    association: int = 256
    association_layers: int = 1
    words: bool = False
    drafts: int = 1
    mends: bool = True
    names: tuple[str, ...] = ()
    synonyms: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, name, known in (("encoder", self.encoder, ENCODERS), ("assignment", self.colours, COLOURS)):
            if name not in known:
                raise InputError(f"Unknown colormap {what} {name!r}; choose one of {', '.join(known)}.")
        if self.projection not in PROJECTIONS:
            raise InputError(f"Unknown projection {self.projection!r}; choose one of {', '.join(PROJECTIONS)}.")
        if self.colormap_side < 32 or self.colormap_side % 16:
            raise InputError(
                f"The side of the colormap must be a multiple of 16 and at least 32, not {self.colormap_side}."
            )
        if not 0 <= self.gap <= 1:
            raise InputError(f"The setting gap of the model is {self.gap}, but must be from 0 to 1.")
        if self.association_layers not in (1, 2):
            raise InputError(
                f"The setting association_layers of the model is {self.association_layers}, but must be 1 or 2."
            )
        seen, context = self.vision.tokens, self.language.context
        if seen >= context:
            raise InputError(f"An image takes {seen} tokens, but the context of language has only {context}.")
        for name in ("encoder_scale", "association", "drafts"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"The setting {name} of the model is {getattr(self, name)}, but must be above 0.")

    @property
    def answers(self) -> bool:
        """See `GroundingModel.answers`: a small model has learnt two questions only."""
        return self.language.cased

    def to_json(self) -> str:
        """The configuration as JSON, for the metadata of weight files."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> GellaConfig:
        """Inverse of `to_json`.

        Raises:
            WeightsError: the text was not written by `to_json`.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            for name, kind in _PARTS.items():
                content[name] = kind(**content[name])
            content["names"] = tuple(content.get("names", ()))
            return cls(**content)
        except (ValueError, KeyError, TypeError, InputError) as error:
            raise WeightsError(f"The weights do not describe a GELLA model ({error}).") from None

    def llava(self) -> LlavaConfig:
        """The configuration of the vision and language model for transformers."""
        from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

        seen, said = self.vision, self.language
        return LlavaConfig(
            vision_config=CLIPVisionConfig(
                hidden_size=seen.width,
                intermediate_size=seen.ffn,
                num_hidden_layers=seen.layers if seen.tower == "clip" else 1,  # a placeholder for the other tower
                num_attention_heads=seen.heads,
                image_size=seen.side,
                patch_size=seen.patch,
            ),
            text_config=LlamaConfig(
                vocab_size=said.vocabulary,
                hidden_size=said.width,
                intermediate_size=said.ffn,
                num_hidden_layers=said.layers,
                num_attention_heads=said.heads,
                max_position_embeddings=said.context,
                rms_norm_eps=1e-5,
                pad_token_id=said.pad_token,
                bos_token_id=said.begin_token,
                eos_token_id=said.end_token,
            ),
            image_token_index=said.image_token,
            vision_feature_layer=-2,
            vision_feature_select_strategy="default",
        )


_PARTS = {"vision": VisionConfig, "language": LanguageConfig, "decoder": DecoderConfig, "blend": BlendConfig}

PRESETS: dict[str, GellaConfig] = {
    "gella-nano": GellaConfig(
        vision=VisionConfig(
            width=192, ffn=576, layers=2, heads=6, side=384, patch=24, tower="efficientnet-lite0", pool=2
        ),
        language=LanguageConfig(
            vocabulary=3072,
            width=192,
            ffn=512,
            layers=4,
            heads=6,
            context=768,
            image_token=3,
            pad_token=0,
            seg_token=4,
            cased=False,
        ),
        decoder=DecoderConfig(
            width=96, heads=4, queries=48, layers=3, ffn=384, encoder_layers=2, encoder_ffn=192, points=2, anchors=16
        ),
        encoder_scale=0.5,
        colormap_side=192,
        association=128,
        words=True,
        drafts=4,
        names=NAMES,
        synonyms={**SHAPES, **SYNONYMS},
    ),
    "gella-7b": GellaConfig(),
    "gella-13b": GellaConfig(language=LanguageConfig(width=5120, ffn=13824, layers=40, heads=40)),
}
