"""ConvNeXt, as DINOv3 distilled it.

Liu et al., arXiv 2201.03545; Simeoni et al., arXiv 2508.10104. Numbers: timm's convnext.py and its
pretrained configurations (version 1.0.31).
"""

from __future__ import annotations

from dataclasses import replace

from zoo.keys import KeyMap, Rule, drop, move
from zoo.spec import BATCH, Dim, Family, ImagePreprocess, ModelSpec, TensorSpec, WeightsSpec
from zoo_vision.convnext_config import ConvNeXtConfig
from zoo_vision.families.dinov3 import DINOV3

SOURCE = "https://github.com/huggingface/pytorch-image-models/blob/v1.0.31/timm/models/convnext.py"
HEAD = "classifier over labels"
LARGEST = 1024  # pixels of a side
NOTE = (
    "The vector is the mean of the last map, then a LayerNorm, as in the authors' code; the tokens "
    "have each been through that LayerNorm, so that their mean is another vector. Takes any "
    "multiple of 32 pixels. Pixels are prepared as timm's configuration of the file says; the "
    "authors' example squashes them, by a bilinear filter."
)


def _layout(name: str, *, stage: str, block: str, norm: str, parts: tuple[str, str, str, str],
            head: tuple[Rule, ...], first: str = "") -> KeyMap:  # fmt: skip
    """Return a layout.

    Args:
        name: Of the library.
        stage: What stands before the two layers that begin a stage.
        block: What stands before a block's parts.
        norm: Of the vector.
        parts: A block's convolution, norm and linear layers.
        head: Rules of what stands behind the vector.
        first: What stands before the two layers that begin the first stage, if that differs.
    """
    beginning, ours = first or stage.replace("{s}", "0"), "blocks.{s}.blocks.{i}"
    depthwise, inner, up, down = (f"{block}.{part}.{{wb}}" for part in parts)
    return KeyMap(
        name=name,
        rules=(
            move(f"{beginning}.0.{{wb}}", "patches.{wb}"),
            move(f"{beginning}.1.{{wb}}", "patch_norm.{wb}"),
            move(f"{stage}.0.{{wb}}", "blocks.{s}.merging.norm.{wb}"),
            move(f"{stage}.1.{{wb}}", "blocks.{s}.merging.reduction.{wb}"),
            move(depthwise, f"{ours}.depthwise.{{wb}}"),
            move(inner, f"{ours}.norm.{{wb}}"),
            move(up, f"{ours}.mlp.fc1.{{wb}}"),
            move(down, f"{ours}.mlp.fc2.{{wb}}"),
            move(f"{block}.gamma", f"{ours}.scale"),
            move(f"{norm}.{{wb}}", "norm.{wb}"),
            *head,
        ),
    )


KEYMAPS = (
    _layout(
        "timm",
        first="stem",
        stage="stages.{s}.downsample",
        block="stages.{s}.blocks.{i}",
        parts=("conv_dw", "norm", "mlp.fc1", "mlp.fc2"),
        norm="head.norm",
        head=(drop("head.fc.{wb}", HEAD),),
    ),
    _layout(
        "transformers",
        stage="stages.{s}.downsample_layers",
        block="stages.{s}.layers.{i}",
        parts=("depthwise_conv", "layer_norm", "pointwise_conv1", "pointwise_conv2"),
        norm="layer_norm",
        head=(),
    ),
    _layout(
        "authors",
        stage="downsample_layers.{s}",
        block="stages.{s}.{i}",
        parts=("dwconv", "norm", "pwconv1", "pwconv2"),
        norm="norm",
        head=(drop("norms.3.{wb}", "the last norm once more"), drop("head.{wb}", HEAD)),
    ),
)

CONVNEXT = Family(
    name="convnext",
    title="A ConvNet for the 2020s",
    authors="Liu, Zhuang and others",
    arxiv="2201.03545",
    year=2022,
    objective="supervised ImageNet",
    license="unknown",
    modality="image",
    keymaps=KEYMAPS,
)
DISTILLED = replace(
    DINOV3,
    name="dinov3-convnext",
    objective="distilled from the 7B vision transformer of DINOv3, which learned without labels, "
    "on LVD-1689M",
    keymaps=KEYMAPS,
)

TINY = ConvNeXtConfig(depths=(3, 3, 9, 3), widths=(96, 192, 384, 768))
SMALL = ConvNeXtConfig(depths=(3, 3, 27, 3), widths=(96, 192, 384, 768))
BASE = ConvNeXtConfig(depths=(3, 3, 27, 3), widths=(128, 256, 512, 1024))
LARGE = ConvNeXtConfig(depths=(3, 3, 27, 3), widths=(192, 384, 768, 1536))


def pixels(config: ConvNeXtConfig, typical: int = 224) -> tuple[TensorSpec, ...]:
    """Return the input of a network that takes any size that its stages can halve."""
    stride = config.stride
    height, width = (
        Dim(name=name, min=stride, typical=typical, max=LARGEST, multiple=stride)
        for name in ("height", "width")
    )
    return (TensorSpec(name="pixels", dtype="float32", shape=(BATCH, 3, height, width)),)


def _row(name: str, repo: str, config: ConvNeXtConfig, params: int) -> ModelSpec:
    return DISTILLED.model(
        name,
        config=config,
        weights=WeightsSpec(source=repo, layout="timm"),
        preprocess=ImagePreprocess(size=(224, 224), resize=224),
        inputs=pixels(config),
        outputs=("pooled", "tokens", "pyramid"),
        params=params,
        papers=(CONVNEXT.paper,),
        note=NOTE,
        source=SOURCE,
    )


ROWS = (
    _row("dinov3-convnext-t", "hf:timm/convnext_tiny.dinov3_lvd1689m", TINY, 27_820_128),
    _row("dinov3-convnext-s", "hf:timm/convnext_small.dinov3_lvd1689m", SMALL, 49_454_688),
    _row("dinov3-convnext-b", "hf:timm/convnext_base.dinov3_lvd1689m", BASE, 87_566_464),
    _row("dinov3-convnext-l", "hf:timm/convnext_large.dinov3_lvd1689m", LARGE, 196_230_336),
)
