"""Plain data: what a family, a model and its files are. No torch, no behaviour.

A model's *row* is a ModelSpec. Everything that loading, encoding, exporting and model cards need to
know stands in its fields; no code looks at a model's name to decide what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from zoo.keys import KeyMap

if TYPE_CHECKING:
    from torch import nn

Modality = Literal["image", "text", "audio", "video"]
DType = Literal["float32", "float64", "float16", "bfloat16", "int64", "bool", "uint8"]
Padding = Literal["none", "masked", "fixed", "forbidden"]
OutputName = Literal["pooled", "tokens", "pyramid", "sparse"]
ExportKind = Literal["torch", "algebra", "none"]

NO_PROMPTS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Dim:
    """A dynamic axis of an input: the range that tracing, profiles and parity cases obey.

    Attributes:
        name: Name of the axis in ONNX graphs.
        min: Smallest size that the model accepts.
        typical: Size that most callers use; engines are tuned for it.
        max: Largest size that is supported.
        multiple: Sizes are multiples of this (the patch, in pixels).
    """

    name: str
    min: int
    typical: int
    max: int
    multiple: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.min <= self.typical <= self.max:
            raise ValueError(f"Dim {self.name!r} needs 0 < min <= typical <= max, got {self}.")
        if any(size % self.multiple for size in (self.min, self.typical, self.max)):
            raise ValueError(f"Dim {self.name!r} has a size that is no multiple, got {self}.")


BATCH = Dim(name="batch", min=1, typical=8, max=4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input of a network.

    Attributes:
        name: Argument of the network's forward, and the ONNX input.
        dtype: Element type.
        shape: Sizes, with a Dim where the axis is dynamic.
        padding: How shorter samples share a batch: `masked` (a mask input says what is real),
            `fixed` (always padded to one length), `forbidden` (only equal sizes together), `none`.
        skippable: A mask; leaving it out means that everything is real.
    """

    name: str
    dtype: DType
    shape: tuple[int | Dim, ...]
    padding: Padding = "none"
    skippable: bool = False


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
class WeightsSpec:
    """Where a checkpoint lives and what its bytes are.

    Attributes:
        source: `hf:org/repo`, `https://...`, `package:name/folder`, a folder, or `none`.
        files: Weight files in order of preference; the first that exists is taken. A name ending in
            `.index.json` stands for its shards.
        subfolder: Folder inside the repository that holds weights and side files.
        parts: Further files of the same checkpoint, such as a Dense layer's: the prefix that their
            keys are read under (`dense.0.`) to the file, from the repository's root.
        revision: Commit (40 hex) of the repository; None resolves `main` once and locks it.
        sha256: Known hashes, file name to 64 hex digits.
        layout: Which library wrote the file, for people; loading reads the file's header instead.
        entry: Which dict of tensors a pickle with several (student and teacher) means; dots lead
            inwards. Empty takes the only one.
        gated: Whether the Hub asks for a licence to be accepted first.
        reason: Why there are no weights, when source is `none`.
        note: What a reader should know about these files.
    """

    source: str
    files: tuple[str, ...] = ("model.safetensors", "pytorch_model.bin")
    subfolder: str = ""
    parts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    revision: str | None = None
    sha256: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    layout: str = ""
    entry: str = ""
    gated: bool = False
    reason: str = ""
    note: str = ""

    @property
    def repo(self) -> str | None:
        """The Hub's `org/repo`, or None for another source."""
        return self.source.removeprefix("hf:") if self.source.startswith("hf:") else None


NO_WEIGHTS = WeightsSpec(source="none", files=(), reason="the algorithm has no parameters")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePreprocess:
    """How an image becomes pixels `(3, H, W)` float32.

    Attributes:
        size: Height, width of the result, pixels.
        resize: Shorter side before the centre crop, pixels; or height, width before it, whatever
            the aspect ratio (squash); None squashes to `size` directly.
        resample: Pillow's filter.
        mean: RGB, in [0, 1].
        std: RGB, in [0, 1].
        crop_offset: How half an odd margin is rounded: `round` (torchvision, half to even) or
            `floor` (transformers).
        channels: `rgb`, or `grey` (one channel, ITU-R 601 luma).
    """

    size: tuple[int, int]
    resize: int | tuple[int, int] | None
    resample: Literal["nearest", "bilinear", "bicubic", "lanczos", "box"] = "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    crop_offset: Literal["round", "floor"] = "round"
    channels: Literal["rgb", "grey"] = "rgb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a text plays in retrieval, where the model treats the two sides differently.

    Attributes:
        prompt: Text put before each item.
        max_length: Longest sequence, tokens, if it differs from the row's.
        marker: Token put after the first one, such as ColBERT's `[unused0]`.
        fill: Token that fills shorter texts up to the longest length (ColBERT's queries: `[MASK]`).
            Nothing attends to these tokens, but each gives a vector.
        skip: Characters whose tokens give no vector, though others attend to them.
    """

    prompt: str = ""
    max_length: int | None = None
    marker: str = ""
    fill: str = ""
    skip: str = ""


# Tokenizers that stand in two files: the one that a row names, and the one beside it.
COMPANIONS: Mapping[str, str] = MappingProxyType({"vocab.json": "merges.txt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPreprocess:
    """How a text becomes token ids; overrides whatever the tokenizer file itself says.

    Attributes:
        max_length: Longest sequence, tokens, special tokens included; longer texts are cut.
        tokenizer: Files in order of preference: `tokenizer.json`, a word-piece `vocab.txt`, a
            SentencePiece `spm.model` or `spiece.model`, or `vocab.json` with `merges.txt` beside
            it.
        tokenizer_home: Where they lie, if not beside the weights.
        lower: Lower-case and strip accents when the tokenizer is built from `vocab.txt`.
        pad_id: Id that fills shorter sequences.
        pad_to_max: Pad every text to `max_length` (CLIP) instead of to the batch's longest.
        ending: Token that every text ends with; put there where the tokenizer does not do so.
        clean: `none`, `lower` (each character), `clip` (its authors' cleaning: ftfy, HTML
            entities, white space, lower case), or `canonical` (SigLIP's: lower case, no
            punctuation, white space).
        prompts: Stored prompts by name.
        roles: `query` and `document`, where they differ.
        default_role: Role taken when none is asked for.
    """

    max_length: int
    tokenizer: tuple[str, ...] = ("tokenizer.json",)
    tokenizer_home: WeightsSpec | None = None
    lower: bool = True
    pad_id: int = 0
    pad_to_max: bool = False
    ending: str = ""
    clean: Literal["none", "lower", "clip", "canonical"] = "none"
    prompts: Mapping[str, str] = field(default_factory=lambda: NO_PROMPTS)
    roles: Mapping[str, Role] = field(default_factory=lambda: MappingProxyType({}))
    default_role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPreprocess:
    """How a sound becomes samples `(S,)`, or a log-mel spectrogram `(M, F)`, both float32.

    Channels are averaged; another rate is resampled by soxr's HQ filter: linear phase, flat up to
    91 percent of the lower Nyquist frequency.

    Attributes:
        rate: Hz.
        features: `waveform`, or `log_mel` (Whisper's: power, Slaney's mel scale, eight decades at
            most below the loudest).
        shortest: Samples; less is refused.
        longest: Samples; more is refused, unless every sound is brought to `length`.
        length: Samples that every sound is cut or padded with silence to; None keeps each as it is.
        normalize: Whether each sound is brought to a mean of 0 and a variance of 1.
        window: Samples of a Fourier transform.
        hop: Samples from one spectrum to the next.
        mels: Bands of a spectrogram.
    """

    rate: int = 16_000
    features: Literal["waveform", "log_mel"] = "waveform"
    shortest: int = 1
    longest: int = 600 * 16_000
    length: int | None = None
    normalize: bool = False
    window: int = 400
    hop: int = 160
    mels: int = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class WordPreprocess:
    """How a text becomes rows of a table of words, for networks that know words alone.

    Words are what white space separates. A word is one row; or, with `ngrams`, its own row, if it
    has one, and those of the character sequences in it, by their hashes.

    Attributes:
        max_length: Longest text, known words; longer texts are cut.
        vocabulary: Files of the words in order of preference; empty where the checkpoint itself
            holds them, as `vocab.words` and `vocab.offsets`.
        retry: Look for an unknown word again without punctuation at its ends, then in lower case.
        pad_id: Row that fills shorter texts; the mask says where.
        ngrams: Fewest and most characters of a sequence, boundary signs included; None: no rows but
            those of words.
        buckets: Rows that sequences share, after those of the words.
    """

    max_length: int
    vocabulary: tuple[str, ...] = ()
    retry: bool = True
    pad_id: int = 0
    ngrams: tuple[int, int] | None = None
    buckets: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TermPreprocess:
    """How a text becomes terms and how often each comes, for encoders that are fitted.

    Attributes:
        pattern: Regular expression of a term, after lower-casing.
        vocabulary: File of the terms that were kept when it was fitted; empty before.
    """

    pattern: str = r"\b\w\w+\b"
    vocabulary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypointPreprocess:
    """How an image becomes descriptors of its keypoints `(N, 128)` float32: OpenCV's SIFT, in grey.

    Attributes:
        longest: Longer side, pixels; a larger image is shrunk.
        most: Keypoints, the strongest first.
        root: Whether each descriptor is scaled to unit sum and the square root taken (RootSIFT).
    """

    longest: int = 1024
    most: int = 1000
    root: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoPreprocess:
    """How a clip becomes pixels `(T, 3, H, W)` float32.

    Attributes:
        frame: What is done with each frame.
        frames: Most that are kept, spread evenly over the clip; a shorter clip keeps all.
        multiple: Frames that a token spans; the last one is repeated to fill up.
    """

    frame: ImagePreprocess
    frames: int
    multiple: int = 1


Preprocess = (
    ImagePreprocess
    | VideoPreprocess
    | TextPreprocess
    | AudioPreprocess
    | WordPreprocess
    | TermPreprocess
    | KeypointPreprocess
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A paper and what all its checkpoints share; said once.

    Attributes:
        name: Word to filter by.
        title: Title of the paper.
        arxiv: Identifier at arxiv.org, or empty.
        url: Paper or authors' code, where there is no arXiv entry.
        year: Of the first public version.
        objective: What the training optimised.
        license: SPDX identifier where one exists.
        keymaps: Layouts in which its checkpoints exist; the file's header selects one.
    """

    name: str
    title: str
    year: int
    objective: str
    license: str
    modality: Modality
    keymaps: tuple[KeyMap, ...] = ()
    arxiv: str = ""
    url: str = ""

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
            space=space,
            matryoshka=matryoshka,
            export=export,
            opaque=opaque,
            note=note,
            source=source,
        )


class Card(Protocol):
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
        matryoshka: Widths that the vector may be cut to; empty if the model was not trained so.
        space: The joint space that it is a tower of.
        export: How it can leave PyTorch.
        opaque: Whether the network is another library's: built for real instead of on the meta
            device, and filled without a key map: by the names of its state dict, or by a method
            `load()` of the config that returns it filled from files that have been verified.
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
            TypeError: The model has no grid.
        """
        stride = getattr(self.config, "stride", None)
        if not isinstance(stride, int):
            raise TypeError(f"{self.name} encodes {self.modality}; it has no token grid.")
        return -(-height // stride), -(-width // stride)

    def with_config(self, **changes: Any) -> ModelSpec:  # noqa: ANN401  fields vary by config
        """Return the row with some fields of its config changed."""
        return replace(self, config=replace(self.config, **changes))  # type: ignore[type-var]  # a Protocol cannot say "dataclass"
