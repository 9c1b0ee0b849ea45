"""ResNet: residual networks trained with labels on ImageNet-1k.

Numbers: timm's resnet.py and its pretrained configurations (version 1.0.31).
"""

from __future__ import annotations

from zoo.keys import KeyMap, Rule, drop, move
from zoo.spec import BATCH, Dim, Family, ImagePreprocess, ModelSpec, Paper, TensorSpec, WeightsSpec
from zoo_vision.resnet_config import ResNetConfig

SOURCE = "https://github.com/huggingface/pytorch-image-models/blob/v1.0.31/timm/models/resnet.py"
HEAD = "classifier over ImageNet's labels"
STATE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _conv_norm(conv: str, norm: str, target: str) -> list[Rule]:
    """Return the rules for one convolution and its batch norm."""
    return [
        move(f"{conv}.weight", f"{target}.conv.weight"),
        *(move(f"{norm}.{name}", f"{target}.norm.{name}") for name in STATE),
    ]


def _torchvision() -> KeyMap:
    """Return torchvision's names, which are timm's too: both count stages and layers from 1."""
    rules = _conv_norm("conv1", "bn1", "stem")
    for stage in range(4):
        theirs, ours = f"layer{stage + 1}.{{i}}", f"blocks.{stage}.{{i}}"
        for layer in range(3):
            rules += _conv_norm(f"{theirs}.conv{layer + 1}", f"{theirs}.bn{layer + 1}",
                                f"{ours}.layers.{layer}")  # fmt: skip
        rules += _conv_norm(f"{theirs}.downsample.0", f"{theirs}.downsample.1", f"{ours}.shortcut")
    return KeyMap(name="torchvision", rules=(*rules, drop("fc.{wb}", HEAD)))


def _transformers() -> KeyMap:
    """Return the names in a file that transformers wrote."""
    rules: list[Rule] = []
    block, ours = "encoder.stages.{s}.layers.{i}", "blocks.{s}.{i}"
    for theirs, target in (
        ("embedder.embedder", "stem"),
        (f"{block}.layer.{{l}}", f"{ours}.layers.{{l}}"),
        (f"{block}.shortcut", f"{ours}.shortcut"),
    ):
        rules += _conv_norm(f"{theirs}.convolution", f"{theirs}.normalization", target)
    return KeyMap(
        name="transformers",
        rules=(*rules, drop("classifier.1.{wb}", HEAD)),
        prefixes=("resnet.",),
    )


RESNET = Family(
    name="resnet",
    title="Deep Residual Learning for Image Recognition",
    authors="He, Kaiming and Zhang, Xiangyu and Ren, Shaoqing and Sun, Jian",
    arxiv="1512.03385",
    year=2015,
    objective="supervised ImageNet-1k",
    license="apache-2.0",
    modality="image",
    keymaps=(_torchvision(), _transformers()),
)

A1 = Paper(
    title="ResNet strikes back: An improved training procedure in timm",
    authors="Wightman, Ross and Touvron, Hugo and J{\\'e}gou, Herv{\\'e}",
    arxiv="2110.00476",
    year=2021,
)

INPUTS = (
    TensorSpec(
        name="pixels",
        dtype="float32",
        shape=(
            BATCH,
            3,
            Dim(name="height", min=32, typical=224, max=1024),
            Dim(name="width", min=32, typical=224, max=1024),
        ),
    ),
)

BASIC = (64, 128, 256, 512)
BOTTLENECK = (256, 512, 1024, 2048)


def _row(name: str, repo: str, config: ResNetConfig, params: int) -> ModelSpec:
    return RESNET.model(
        name,
        config=config,
        weights=WeightsSpec(
            source=repo, files=("model.safetensors", "pytorch_model.bin"), layout="torchvision"
        ),
        preprocess=ImagePreprocess(size=(224, 224), resize=235),
        inputs=INPUTS,
        outputs=("pooled", "tokens", "pyramid"),
        params=params,
        objective="supervised ImageNet-1k (timm's A1 recipe, binary cross-entropy)",
        papers=(A1,),
        note="The A1 recipe is stronger on ImageNet, and weaker as frozen features, than "
        "torchvision's weights of 2015.",
        source=SOURCE,
    )


ROWS = (
    _row(
        "resnet-18",
        "hf:timm/resnet18.a1_in1k",
        ResNetConfig(block="basic", depths=(2, 2, 2, 2), widths=BASIC),
        11_176_512,
    ),
    _row(
        "resnet-50",
        "hf:timm/resnet50.a1_in1k",
        ResNetConfig(block="bottleneck", depths=(3, 4, 6, 3), widths=BOTTLENECK),
        23_508_032,
    ),
    _row(
        "resnet-101",
        "hf:timm/resnet101.a1_in1k",
        ResNetConfig(block="bottleneck", depths=(3, 4, 23, 3), widths=BOTTLENECK),
        42_500_160,
    ),
    _row(
        "resnet-152",
        "hf:timm/resnet152.a1_in1k",
        ResNetConfig(block="bottleneck", depths=(3, 8, 36, 3), widths=BOTTLENECK),
        58_143_808,
    ),
)
