"""torchvision's operators, defined where the CPU build of torch lacks them. Import before it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch


def _torchvision_runs() -> bool:
    """Whether torchvision's own operators can be loaded into this torch."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True  # nothing to load
    try:
        torch.ops.load_library(Path(spec.origin).with_name("_C.so"))
    except OSError:
        return False
    return True


# torchvision's wheel has CUDA operators that a CPU build of torch lacks; importing it fails on the
# fakes of these. Defining their schemas first lets timm, open_clip and transformers import it.
if not _torchvision_runs():
    _TORCHVISION = torch.library.Library("torchvision", "DEF")
    for _schema in ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
                    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"):  # fmt: skip
        _TORCHVISION.define(_schema)
