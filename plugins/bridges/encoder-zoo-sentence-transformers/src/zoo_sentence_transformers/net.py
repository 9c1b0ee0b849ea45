"""sentence-transformers' modules behind the zoo's interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.nn.pool import unit
from zoo_sentence_transformers.config import FolderConfig


class FolderNet(nn.Module):
    """All modules of a folder; its last norm is the zoo's, which can be left out.

    Its state dict has the names of the library's own, `0.auto_model.`, `2.linear.`, ...
    """

    def __init__(self, config: FolderConfig, folder: Path) -> None:
        super().__init__()
        self.normalize = config.normalize
        model = SentenceTransformer(
            str(folder), device="cpu", trust_remote_code=False, local_files_only=True
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
