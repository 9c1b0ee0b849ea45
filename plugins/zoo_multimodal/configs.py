"""All architectures of this package, as data."""

from __future__ import annotations

from zoo_multimodal.clip_text_config import ClipTextConfig

__all__ = ["ClipTextConfig"]
