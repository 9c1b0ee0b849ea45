"""A tokenizer for random weights, made of nothing: no file, no network, any vocabulary. No torch.

Vectors from random weights mean nothing, so neither need the tokens; what matters is that lengths,
padding, truncation and special tokens behave as in life: one token a byte between a start and an
end, the end with the highest id, as CLIP's networks expect.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import BPE

START, END = "<start>", "<end>"


def standin_tokenizer(
    vocab: int, *, pad_id: int, ending: str = "", others: Sequence[str] = ()
) -> Tokenizer:
    """Return a byte tokenizer with ids below `vocab` that never gives `pad_id`.

    Args:
        vocab: Number of the network's word embeddings; at least 4.
        pad_id: Id that padding uses.
        ending: Name of the token at the end, if it must have one.
        others: Names of further special tokens; they share an id.
    """
    start, end = vocab - 2, vocab - 1
    ending = ending or END
    free = [index for index in range(start) if index != pad_id]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {token: free[place % len(free)] for place, token in enumerate(alphabet)}
    shared = dict.fromkeys(others, free[-1])
    tokenizer = Tokenizer(BPE({**ids, **shared, START: start, ending: end}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {ending}", special_tokens=[(START, start), (ending, end)]
    )
    return tokenizer
