"""Tables of word vectors: a row a word, or the mean of a word's rows; then the mean of the words.

Shapes: B texts, N words, S rows of a word, D width.
"""

from __future__ import annotations

from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.nn.pool import masked_mean, unit
from zoo_text.static_config import StaticConfig


class Static(nn.Module):
    """One row a word, and their mean.

    Args:
        config: Numbers that fix the network.

    Attributes:
        normalize: Whether the pooled vector leaves with unit L2 norm.
    """

    def __init__(self, config: StaticConfig) -> None:
        super().__init__()
        self.normalize = config.normalize
        self.words = nn.Embedding(config.vocab, config.width)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Encoded:
        """Rows (B, N), mask (B, N) nonzero where real -> pooled (B, D), tokens (B, N, D), mask."""
        words = self.words(input_ids)  # (B, N, D)
        pooled = masked_mean(words, attention_mask)  # (B, D)
        return Encoded(
            pooled=unit(pooled) if self.normalize else pooled,
            tokens=words,
            mask=None if attention_mask is None else attention_mask.bool(),
        )


class Subwords(nn.Module):
    """The mean of a word's rows, and the mean of the words' directions (fastText).

    facebookresearch/fastText, src/fasttext.cc, `getWordVector` and `getSentenceVector` (MIT).

    Args:
        config: Numbers that fix the network.

    Attributes:
        normalize: Whether the pooled vector leaves with unit L2 norm.
    """

    def __init__(self, config: StaticConfig) -> None:
        super().__init__()
        self.normalize = config.normalize
        self.words = nn.Embedding(config.vocab, config.width)

    def forward(self, input_ids: Tensor, row_mask: Tensor) -> Encoded:
        """Rows (B, N, S), mask (B, N, S) nonzero where real -> as `Static`.

        Tokens are the words' vectors before they are scaled.
        """
        rows = self.words(input_ids)  # (B, N, S, D)
        real = row_mask.ne(0).to(rows.dtype)
        count = real.sum(dim=2, keepdim=True)  # (B, N, 1), zero where there is no word
        words = (rows * real[..., None]).sum(dim=2) / count.clamp(min=1)  # (B, N, D)
        mask = count[..., 0] > 0  # (B, N)
        pooled = masked_mean(unit(words), mask)  # (B, D)
        return Encoded(pooled=unit(pooled) if self.normalize else pooled, tokens=words, mask=mask)
