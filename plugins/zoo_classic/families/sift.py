"""SIFT and what is made of its descriptors: their mean, a histogram of words, VLAD. No torch."""

from __future__ import annotations

from zoo.keys import KeyMap, move
from zoo.spec import (
    BATCH,
    NO_WEIGHTS,
    Dim,
    ExportKind,
    Family,
    KeypointPreprocess,
    ModelSpec,
    Paper,
    TensorSpec,
    WeightsSpec,
)
from zoo_classic.descriptor_config import DescriptorConfig

_STATE = (
    KeyMap(name="fitted codebook", rules=(move("words", "words"), move("weights", "weights"))),
)

SIFT = Family(
    name="sift",
    title="Distinctive Image Features from Scale-Invariant Keypoints",
    authors="Lowe, David G.",
    url="https://doi.org/10.1023/B:VISI.0000029664.99615.94",
    year=2004,
    objective="none (hand-made)",
    license="apache-2.0",
    modality="image",
    keymaps=_STATE,
)
BOVW = Family(
    name="bovw",
    title="Video Google: A Text Retrieval Approach to Object Matching in Videos",
    authors="Sivic, Josef and Zisserman, Andrew",
    url="https://www.robots.ox.ac.uk/~vgg/publications/2003/Sivic03/sivic03.pdf",
    year=2003,
    objective="k-means over descriptors",
    license="apache-2.0",
    modality="image",
    keymaps=_STATE,
)

ROOT_SIFT = Paper(
    title="Three things everyone should know to improve object retrieval",
    authors="Arandjelovi{\\'c}, Relja and Zisserman, Andrew",
    url="https://doi.org/10.1109/CVPR.2012.6248018",
    year=2012,
)
VLAD = Paper(
    title="Aggregating local descriptors into a compact image representation",
    authors="J{\\'e}gou, Herv{\\'e} and others",
    url="https://doi.org/10.1109/CVPR.2010.5540039",
    year=2010,
)

_RECIPE = KeypointPreprocess()
_KEYPOINTS = Dim(name="keypoints", min=1, typical=500, max=_RECIPE.most)
_ROOT = (
    "Keypoints are OpenCV's, at most 1,000 of an image, and described as RootSIFT. The licence is "
    "this implementation's."
)
_FIT = "Fit it before use: encoder.fit(images), encoder.save(folder), zoo.load(folder)."


def _row(
    family: Family,
    name: str,
    config: DescriptorConfig,
    *,
    weights: WeightsSpec,
    export: ExportKind,
    note: str,
    papers: tuple[Paper, ...],
    aliases: tuple[str, ...] = (),
) -> ModelSpec:
    return family.model(
        name,
        config=config,
        weights=weights,
        preprocess=_RECIPE,
        inputs=(
            TensorSpec(
                name="descriptors",
                dtype="float32",
                shape=(BATCH, _KEYPOINTS, config.width),
                padding="masked",
            ),
            TensorSpec(
                name="descriptor_mask",
                dtype="int64",
                shape=(BATCH, _KEYPOINTS),
                padding="masked",
                skippable=True,
            ),
        ),
        params=0,
        papers=papers,
        aliases=aliases,
        export=export,
        note=note,
        source="https://docs.opencv.org/4.x/d7/d60/classcv_1_1SIFT.html",
    )


_CODEBOOK = WeightsSpec(source="none", files=(), reason="its codebook is fitted to your own images")

ROWS = (
    _row(
        SIFT,
        "sift",
        DescriptorConfig(pooling="mean", fitted=True),
        weights=NO_WEIGHTS,
        papers=(ROOT_SIFT,),
        export="none",
        note="The mean of the descriptors; tokens are the descriptors. Finding keypoints is no "
        f"network, so there is no graph of it. {_ROOT}",
    ),
    _row(
        SIFT,
        "sift-vlad",
        DescriptorConfig(pooling="vlad", words=64),
        weights=_CODEBOOK,
        papers=(VLAD, ROOT_SIFT),
        export="algebra",
        note=f"{_FIT} Sums of differences to 64 words, square roots taken, unit length. {_ROOT}",
    ),
    _row(
        BOVW,
        "bovw",
        DescriptorConfig(pooling="bovw", words=1000),
        weights=_CODEBOOK,
        papers=(ROOT_SIFT,),
        export="algebra",
        aliases=("bovw-sift-1k",),
        note=f"{_FIT} How often each of 1,000 words is the nearest, weighted by how few images "
        f"have it. {_ROOT}",
    ),
)
