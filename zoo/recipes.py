"""Plain data: how raw items become inputs, a record for each kind of item. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from zoo.frozen import FrozenMap, freeze
from zoo.sources import WeightsSpec


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
        unread: Rows and columns, pixels, that resize or crop leave beyond `size`, below and on the
            right, and that are cut off last: the network's patches would not read them.
        crop_offset: How half an odd margin is rounded: `round` (torchvision, half to even) or
            `floor` (transformers).
        channels: `rgb`, or `grey` (one channel, ITU-R 601 luma).
    """

    size: tuple[int, int]
    resize: int | tuple[int, int] | None
    resample: Literal["nearest", "bilinear", "bicubic", "lanczos", "box"] = "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    unread: tuple[int, int] = (0, 0)
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
COMPANIONS: Mapping[str, str] = FrozenMap({"vocab.json": "merges.txt"})


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
    prompts: Mapping[str, str] = FrozenMap()
    roles: Mapping[str, Role] = FrozenMap()
    default_role: str | None = None

    def __post_init__(self) -> None:
        freeze(self, "prompts", "roles")


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
