"""Plain data: where a checkpoint lives and what its bytes are. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zoo.frozen import FrozenMap, freeze

RANDOM = "random"  # as `weights=`: seeded live weights in place of any file

# Endings of the files that the zoo reads itself.
SAFETENSORS = ".safetensors"
PICKLES = (".bin", ".pt", ".pth", ".pth.tar", ".ckpt")  # PyTorch's own


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
    parts: Mapping[str, str] = FrozenMap()
    revision: str | None = None
    sha256: Mapping[str, str] = FrozenMap()
    layout: str = ""
    entry: str = ""
    gated: bool = False
    reason: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        freeze(self, "parts", "sha256")

    @property
    def repo(self) -> str | None:
        """The Hub's `org/repo`, or None for another source."""
        return self.source.removeprefix("hf:") if self.source.startswith("hf:") else None


NO_WEIGHTS = WeightsSpec(source="none", files=(), reason="the algorithm has no parameters")
