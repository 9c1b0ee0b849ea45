"""What it takes to import the reference libraries beside a CPU build of torch."""

from __future__ import annotations

import torch


def allow_torchvision() -> torch.library.Library:
    """Define the schemas of two CUDA operators that torchvision's wheel expects to exist.

    Without them `import torchvision` fails on a CPU build of torch, and with it transformers, timm
    and sentence-transformers. Keep what is returned: the schemas go when it does.
    """
    library = torch.library.Library("torchvision", "DEF")
    for schema in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        library.define(schema)
    return library
