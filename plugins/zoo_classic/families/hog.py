"""HOG: histograms of oriented gradients, the hand-made descriptor. No weights.

Numbers: the detector of the paper, 9 orientations, cells of 8 x 8 pixels, blocks of 2 x 2 cells.
"""

from __future__ import annotations

from zoo.spec import BATCH, NO_WEIGHTS, Family, ImagePreprocess, TensorSpec
from zoo_classic.hog_config import HogConfig

HOG = Family(
    name="hog",
    title="Histograms of Oriented Gradients for Human Detection",
    authors="Dalal, Navneet and Triggs, Bill",
    url="https://lear.inrialpes.fr/people/triggs/pubs/Dalal-cvpr05.pdf",
    year=2005,
    objective="none (hand-made)",
    license="apache-2.0",
    modality="image",
)

WINDOW = (128, 64)  # height, width, pixels

ROWS = (
    HOG.model(
        "hog",
        config=HogConfig(size=WINDOW),
        weights=NO_WEIGHTS,
        preprocess=ImagePreprocess(
            size=WINDOW,
            resize=None,
            resample="bilinear",
            mean=(0.0,),
            std=(1.0,),
            channels="grey",
        ),
        inputs=(TensorSpec(name="pixels", dtype="float32", shape=(BATCH, 1, *WINDOW)),),
        params=0,
        note="Every image is squashed to the paper's window, 128 pixels high and 64 wide. Tokens "
        "are the overlapping blocks, 15 x 7. The licence is this implementation's.",
        source="https://scikit-image.org/docs/stable/api/skimage.feature.html#skimage.feature.hog",
    ),
)
