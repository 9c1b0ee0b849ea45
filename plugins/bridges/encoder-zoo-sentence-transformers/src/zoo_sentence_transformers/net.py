"""sentence-transformers' modules behind the zoo's interface."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize
from torch import Tensor, nn
from transformers.utils import logging

from zoo.encoded import Encoded
from zoo.errors import KeyMapError, UnsupportedCheckpointError
from zoo.nn.pool import unit
from zoo_sentence_transformers.config import FolderConfig

LONGEST = 512  # tokens, where a folder does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What only the loaded modules tell.

    Attributes:
        dim: Width of the vector.
        vocab: Number of word embeddings.
        longest: Most tokens of a text.
        pad_id: Token that fills shorter texts.
        lower: Whether texts are lower-cased first.
        normalize: Whether the last module is a norm.
        params: Parameters.
    """

    dim: int
    vocab: int
    longest: int
    pad_id: int
    lower: bool
    normalize: bool
    params: int


class FolderNet(nn.Module):
    """All modules of a folder; its last norm is the zoo's, which can be left out.

    Its state dict has the names of the library's own, `0.auto_model.`, `2.linear.`, ...

    Raises:
        KeyMapError: The folder is of another network.
    """

    def __init__(self, config: FolderConfig, folder: Path) -> None:
        super().__init__()
        self.normalize = config.normalize
        model = _opened(folder, config.checkpoint.rpartition("@")[0])
        facts = _facts(model)
        asked = (config.dim, config.vocab, config.normalize)
        if (facts.dim, facts.vocab, facts.normalize) != asked:
            raise KeyMapError(
                f"The folder gives vectors of {facts.dim} numbers from {facts.vocab} words; "
                f"{config.checkpoint} gives {config.dim} from {config.vocab}."
            )
        parts: list[Any] = list(model)
        self.parts = nn.ModuleList(parts[:-1] if config.normalize else parts)
        self.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Encoded:
        """(B, N), (B, N) nonzero where real -> pooled (B, D), tokens (B, N, W), mask (B, N)."""
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        features: dict[str, Tensor] = {"input_ids": input_ids, "attention_mask": attention_mask}
        for part in self.parts:
            features = part(features)
        pooled = features["sentence_embedding"]  # (B, D)
        return Encoded(
            pooled=unit(pooled) if self.normalize else pooled,
            tokens=features["token_embeddings"],
            mask=attention_mask.bool(),
        )


def facts_of(folder: Path, name: str) -> Facts:
    """Return what the modules of a folder tell.

    Raises:
        UnsupportedCheckpointError: The library cannot load them.
    """
    return _facts(_opened(folder, name))


def _opened(folder: Path, name: str) -> Any:  # noqa: ANN401  the library is not typed
    try:
        with _quiet():
            return SentenceTransformer(
                str(folder), device="cpu", trust_remote_code=False, local_files_only=True
            )
    except Exception as error:  # the library's, of whatever kind
        reason = (str(error).strip().splitlines() or [""])[0]
        raise UnsupportedCheckpointError(
            f"sentence-transformers cannot load {name}: {type(error).__name__}: {reason}"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from showing a bar, and from telling of tensors that are not there yet."""
    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _facts(model: Any) -> Facts:  # noqa: ANN401  as above
    parts = list(model)
    longest = int(model.max_seq_length or LONGEST)
    last = parts[-1]
    norm = isinstance(last, Normalize) and last.module_input_name == "sentence_embedding"
    kept = parts[:-1] if norm else parts
    return Facts(
        dim=int(model.get_embedding_dimension()),
        vocab=int(parts[0].auto_model.get_input_embeddings().num_embeddings),
        longest=longest if longest < 10**6 else LONGEST,
        pad_id=int(model.tokenizer.pad_token_id or 0),
        lower=bool(getattr(parts[0], "do_lower_case", False)),
        normalize=norm,
        params=sum(p.numel() for part in kept for p in part.parameters()),
    )
