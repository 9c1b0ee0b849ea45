"""Which systems export: zoo, torch.onnx.export of the transformers module, optimum-onnx.

Tiny versions with random weights. A system counts for zoo only if its graph passes the gate; for
the others it is enough that a file is written.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

import zoo
from zoo.errors import ZooError
from zoo.spec import ModelSpec
from zoo.testing.shrink import tiny
from zoo_export.build import build_bundle
from zoo_export.onnx import quiet
from zoo_export.parity import default_profile

# transformers' name of the module and its configuration: the row of zoo, and a small configuration
WORDS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 64}  # fmt: skip
PIXELS = {**WORDS, "image_size": 32, "patch_size": 8}
SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "Bert": ("bert-base-uncased", WORDS),
    "Roberta": ("roberta-base", WORDS),
    "ViT": ("vit-b16", PIXELS),
    "Dinov2": ("dinov2-b14", PIXELS),
    "ResNet": ("resnet-50", {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}),
    "CLIPText": ("clip-b16-text", WORDS),
    "Beit": ("beit-b16", PIXELS),
    "Swin": ("swin-t", {"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [2, 2],
                        "num_heads": [2, 4], "window_size": 4}),
    "T5Encoder": ("t5-base-encoder", {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2,
                                      "num_heads": 2}),
    "XLNet": ("xlnet-base-cased", {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64}),
}  # fmt: skip

OPTIMUM = """
import json, sys, tempfile, torch, transformers
from optimum.exporters.onnx import main_export
transformers.logging.set_verbosity_error()
found = {}
for name, fields in json.loads(sys.stdin.read()).items():
    with tempfile.TemporaryDirectory() as folder:
        try:
            config = getattr(transformers, name.removesuffix("Encoder") + "Config")(**fields)
            getattr(transformers, name + "Model")(config).eval().save_pretrained(folder)
            main_export(folder, folder + "/onnx", task="feature-extraction", do_validation=False)
            found[name] = "yes"
        except BaseException as error:
            found[name] = type(error).__name__
print(json.dumps(found))
"""


def table(optimum: str | None) -> dict[str, dict[str, str]]:
    """Return for each system what came of it, by exporter; `yes` or the name of the error.

    Args:
        optimum: Python that has optimum-onnx.
    """
    found = {name: {"zoo": _zoo(row), "plain": _plain(name, fields)}
             for name, (row, fields) in SYSTEMS.items()}  # fmt: skip
    if optimum is not None:
        wanted = json.dumps({name: fields for name, (_, fields) in SYSTEMS.items()})
        done = subprocess.run(
            [optimum, "-c", OPTIMUM], input=wanted, capture_output=True, text=True, check=True
        )
        for name, answer in json.loads(done.stdout.splitlines()[-1]).items():
            found[name]["optimum"] = answer
    return found


def _zoo(name: str) -> str:
    def make(folder: Path) -> None:
        row = tiny(cast(ModelSpec, zoo.info(name)))
        build_bundle(row, folder / "bundle", profile=default_profile(row), weights="random")

    return _tried(make, ZooError)


def _plain(name: str, fields: dict[str, Any]) -> str:
    def make(folder: Path) -> None:
        import transformers

        module = getattr(transformers, f"{name}Model")(
            getattr(transformers, f"{name.removesuffix('Encoder')}Config")(**fields)
        )
        batch = torch.export.Dim("batch", min=1, max=4096)
        ids, length = torch.ones(2, 16, dtype=torch.long), torch.export.Dim("length", max=512)
        side = fields.get("image_size", 32)
        pictures = "image_size" in fields or name == "ResNet"
        inputs = (torch.randn(2, 3, side, side),) if pictures else (ids,)
        shapes = ({0: batch},) if pictures else ({0: batch, 1: length},)
        torch.onnx.export(
            First(module.eval()), inputs, folder / "x.onnx", dynamo=True, dynamic_shapes=shapes
        )

    return _tried(make, Exception)


class First(nn.Module):
    """The first output of a transformers module."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Ids or pixels -> hidden states."""
        out: torch.Tensor = self.module(x)[0]
        return out


def _tried(make: Callable[[Path], None], errors: type[Exception]) -> str:
    with tempfile.TemporaryDirectory() as folder, quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            make(Path(folder))
        except errors as error:
            return type(error).__name__
    return "yes"
