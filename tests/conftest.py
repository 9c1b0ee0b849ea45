"""What every test shares. No network: huggingface_hub is pointed away before anyone imports it."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ZOO_CACHE"] = tempfile.mkdtemp(prefix="zoo-tests-")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "")

import pytest
import torch

import tests.torchvision_operators  # noqa: F401  before timm, open_clip and transformers
from tests.hub import hub as hub  # a fixture for all tests that fetch

# A shell that starts the tests in the background makes them ignore Ctrl-C, and with them every
# process that they start; some tests are about Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

atexit.register(shutil.rmtree, os.environ["ZOO_CACHE"], ignore_errors=True)


@pytest.fixture(autouse=True)
def _two_threads() -> None:
    """Keep timings and rounding the same on every machine."""
    torch.set_num_threads(2)
