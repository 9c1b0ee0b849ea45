"""Rows beside the libraries that they are held against, for coverage runs."""

from __future__ import annotations

import tests.torchvision_operators  # noqa: F401  before timm, open_clip and transformers
from tests.comparisons import images, others, texts, vectors  # noqa: F401  they register
from tests.comparisons.registry import Comparison, NoReferenceError, compare, comparison_of

__all__ = ["Comparison", "NoReferenceError", "compare", "comparison_of"]
