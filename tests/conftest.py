"""What every test shares. No network: huggingface_hub is pointed away before anyone imports it."""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import signal
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ZOO_CACHE"] = tempfile.mkdtemp(prefix="zoo-tests-")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "")

import pytest
import torch

from tests.hub import hub as hub  # a fixture for all tests that fetch

# A shell that starts the tests in the background makes them ignore Ctrl-C, and with them every
# process that they start; some tests are about Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

atexit.register(shutil.rmtree, os.environ["ZOO_CACHE"], ignore_errors=True)


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


@pytest.fixture(autouse=True)
def _two_threads() -> None:
    """Keep timings and rounding the same on every machine."""
    torch.set_num_threads(2)
