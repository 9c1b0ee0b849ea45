"""Plain data: what a family, a model and its files are. No torch, no behaviour.

A model's *row* is a ModelSpec. Everything that loading, encoding, exporting and model cards need to
know stands in its fields; no code looks at a model's name to decide what to do. What files hold is
in zoo.sources, how items are prepared in zoo.recipes, what a network takes in zoo.tensors; all are
reached from here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from zoo.errors import OptionError
from zoo.frozen import freeze
from zoo.papers import Paper as Paper
from zoo.recipes import (
    COMPANIONS as COMPANIONS,
    AudioPreprocess as AudioPreprocess,
    ImagePreprocess as ImagePreprocess,
    KeypointPreprocess as KeypointPreprocess,
    Preprocess as Preprocess,
    Role as Role,
    TermPreprocess as TermPreprocess,
    TextPreprocess as TextPreprocess,
    VideoPreprocess as VideoPreprocess,
    WordPreprocess as WordPreprocess,
)
from zoo.rules import KeyMap
from zoo.sources import NO_WEIGHTS as NO_WEIGHTS, WeightsSpec as WeightsSpec
from zoo.tensors import (
    BATCH as BATCH,
    Dim as Dim,
    DType as DType,
    Padding as Padding,
    TensorSpec as TensorSpec,
)

if TYPE_CHECKING:
    from torch import nn

Modality = Literal["image", "text", "audio", "video"]
OutputName = Literal["pooled", "tokens", "pyramid", "sparse"]
ExportKind = Literal["torch", "algebra", "none"]


class ArchConfig(Protocol):
    """The numbers that fix an architecture; a frozen dataclass in a family's `configs.py`."""

    @property
    def pooling(self) -> str:
        """How tokens become one vector: cls, mean, last, map, none, ..."""
        ...

    @property
    def normalize(self) -> bool:
        """Whether the pooled vector leaves the network with unit L2 norm."""
        ...

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        ...

    def build(self) -> nn.Module:
        """Build the network; the only place of a config that imports torch."""
        ...

    def tiny(self) -> Self:
        """Return a version of a few thousand parameters with every feature still on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A joint space: which towers share it and how their vectors are compared.

    Attributes:
        name: Public name; `zoo.load(name)` loads all towers.
        towers: Modality to the name of its row.
        similarity: `cosine`, or `maxsim` for multi-vector towers.
        scale: Factor on the similarity before the activation, or the checkpoint's key that holds
            its logarithm.
        bias: Added after the scale, or the checkpoint's key that holds it.
        activation: Turns scores over labels into probabilities.
        template: Default prompt for class names; `{}` stands for the name.
        aliases: Shorter names.
    """

    name: str
    towers: Mapping[Modality, str]
    similarity: Literal["cosine", "maxsim"] = "cosine"
    scale: float | str = 1.0
    bias: float | str = 0.0
    activation: Literal["softmax", "sigmoid"] = "softmax"
    template: str = "a photo of a {}."
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        freeze(self, "towers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A paper and what all its checkpoints share; said once.

    Attributes:
        name: Word to filter by.
        title: Title of the paper.
        authors: Of the paper, as BibTeX has them: `Last, First and others`.
        arxiv: Identifier at arxiv.org, or empty.
        url: Paper or authors' code, where there is no arXiv entry.
        year: Of the first public version.
        objective: What the training optimised, and on which data.
        license: SPDX identifier where one exists.
        license_url: Where its terms can be read, if it is none of SPDX's.
        languages: Of the texts or the speech that it was trained on, as ISO 639-1 codes;
            `multilingual` where there are dozens.
        keymaps: Layouts in which its checkpoints exist; the file's header selects one.
    """

    name: str
    title: str
    year: int
    objective: str
    license: str
    modality: Modality
    keymaps: tuple[KeyMap, ...] = ()
    authors: str = ""
    arxiv: str = ""
    url: str = ""
    license_url: str = ""
    languages: tuple[str, ...] = ()

    @property
    def paper(self) -> Paper:
        """What is cited for all its checkpoints."""
        return Paper(
            title=self.title, year=self.year, authors=self.authors, arxiv=self.arxiv, url=self.url
        )

    def model(
        self,
        name: str,
        *,
        config: ArchConfig,
        weights: WeightsSpec,
        preprocess: Preprocess | None,
        inputs: tuple[TensorSpec, ...],
        params: int,
        outputs: tuple[OutputName, ...] = ("pooled", "tokens"),
        aliases: tuple[str, ...] = (),
        license: str | None = None,
        objective: str | None = None,
        year: int | None = None,
        languages: tuple[str, ...] | None = None,
        papers: tuple[Paper, ...] = (),
        space: Space | None = None,
        matryoshka: tuple[int, ...] = (),
        export: ExportKind = "torch",
        opaque: bool = False,
        note: str = "",
        source: str = "",
    ) -> ModelSpec:
        """Make a row; what is not given is the family's."""
        return ModelSpec(
            name=name,
            family=self,
            config=config,
            weights=weights,
            preprocess=preprocess,
            inputs=inputs,
            outputs=outputs,
            params=params,
            aliases=aliases,
            license=license or self.license,
            objective=objective or self.objective,
            year=year or self.year,
            languages=self.languages if languages is None else languages,
            papers=papers,
            space=space,
            matryoshka=matryoshka,
            export=export,
            opaque=opaque,
            note=note,
            source=source,
        )


class EncoderSpec(Protocol):
    """What running an encoder takes, whether a row or a bundle says it."""

    @property
    def name(self) -> str:
        """Canonical public name."""
        ...

    @property
    def modality(self) -> Modality:
        """What it encodes."""
        ...

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        ...

    @property
    def pooling(self) -> str:
        """How tokens become one vector."""
        ...

    @property
    def normalize(self) -> bool:
        """Whether the pooled vector leaves the network with unit L2 norm."""
        ...

    @property
    def outputs(self) -> tuple[OutputName, ...]:
        """What `encode(output=...)` can give."""
        ...

    @property
    def matryoshka(self) -> tuple[int, ...]:
        """Widths that the vector may be cut to."""
        ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs of the network, or of the graph made of it."""
        ...

    @property
    def preprocess(self) -> Preprocess | None:
        """How raw items become inputs."""
        ...

    @property
    def vocab(self) -> int | None:
        """Number of word embeddings, if it has them."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One row: everything that is known about one encoder before any file is read.

    Attributes:
        name: Canonical public name.
        params: Parameters of the encoder without heads.
        outputs: What `encode(output=...)` can give.
        languages: Of its training, as in its family.
        papers: Where this checkpoint was published, if not in the family's paper alone.
        matryoshka: Widths that the vector may be cut to; empty if the model was not trained so.
        space: The joint space that it is a tower of.
        export: How it can leave PyTorch.
        opaque: Whether the network is another library's: built for real instead of on the meta
            device, and filled without a key map: by the names of its state dict, or by a method
            `load(weights)` of the config that returns it filled from files that were verified.
        note: What a user should know.
        source: URL that the numbers were copied from.
    """

    name: str
    family: Family
    config: ArchConfig
    weights: WeightsSpec
    preprocess: Preprocess | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[OutputName, ...]
    params: int
    license: str
    objective: str
    year: int
    languages: tuple[str, ...] = ()
    papers: tuple[Paper, ...] = ()
    aliases: tuple[str, ...] = ()
    space: Space | None = None
    matryoshka: tuple[int, ...] = ()
    export: ExportKind = "torch"
    opaque: bool = False
    note: str = ""
    source: str = ""

    @property
    def modality(self) -> Modality:
        """What it encodes."""
        return self.family.modality

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        return self.config.dim

    @property
    def pooling(self) -> str:
        """How tokens become one vector."""
        return self.config.pooling

    @property
    def normalize(self) -> bool:
        """Whether the pooled vector leaves the network with unit L2 norm."""
        return self.config.normalize

    @property
    def vocab(self) -> int | None:
        """Number of word embeddings, if it has them."""
        return getattr(self.config, "vocab", None)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the token grid, rows and columns, of an image of that many pixels.

        Raises:
            OptionError: The model has no grid.
        """
        stride = getattr(self.config, "stride", None)
        if not isinstance(stride, int):
            raise OptionError(f"{self.name} encodes {self.modality}; it has no token grid.")
        return -(-height // stride), -(-width // stride)

    def with_config(self, **changes: Any) -> ModelSpec:  # noqa: ANN401  fields vary by config
        """Return the row with some fields of its config changed."""
        return replace(self, config=replace(self.config, **changes))  # type: ignore[type-var]  # a Protocol cannot say "dataclass"
