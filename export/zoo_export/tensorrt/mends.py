"""What to do about an operator that TensorRT's parser refuses. Data, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mend:
    """A way around a refusal.

    Attributes:
        operator: That is refused.
        word: In what the parser says; empty for whatever it says.
        advice: What to do, in sentences.
    """

    operator: str
    word: str = ""
    advice: str


MENDS = (
    Mend(
        operator="Resize",
        word="antialias",
        advice="TensorRT resizes without antialiasing only. Export one --size, so that positions "
        "are resampled before the graph is written.",
    ),
    Mend(
        operator="BitwiseAnd",
        advice="Combine masks with torch.logical_and, which becomes the operator And.",
    ),
    Mend(operator="BitwiseOr", advice="Combine masks with torch.logical_or, the operator Or."),
    Mend(operator="BitwiseNot", advice="Invert masks with torch.logical_not, the operator Not."),
    Mend(
        operator="DFT",
        advice="Compute the spectrogram in preprocessing, or as a convolution or matrix product "
        "with a constant table.",
    ),
    Mend(
        operator="STFT",
        advice="Compute the spectrogram in preprocessing, or as a convolution with a constant "
        "window.",
    ),
    Mend(
        operator="NonZero",
        advice="The size of what it gives depends on values. Keep the full shape and multiply by "
        "a mask in place of picking elements by one.",
    ),
    Mend(
        operator="Attention",
        advice="Export at an opset below 23, where attention is products and a softmax.",
    ),
)


def mend_for(operator: str, words: str) -> str:
    """Return what to do about an operator, or nothing where nobody knows."""
    for mend in MENDS:
        if mend.operator == operator and mend.word in words.lower():
            return mend.advice
    return ""
