"""ELECTRA: Clark et al., 2020; the discriminators. No torch."""

from __future__ import annotations

from zoo.spec import Family
from zoo_text.configs import BertConfig
from zoo_text.families.layouts import BERT
from zoo_text.families.rows import BASE, LARGE, MEAN_BY_CHOICE, text_model

FAMILY = Family(
    name="electra",
    title="ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators",
    authors="Clark, Kevin and Luong, Minh-Thang and Le, Quoc V. and Manning, Christopher D.",
    arxiv="2003.10555",
    year=2020,
    objective="replaced-token detection",
    license="apache-2.0",
    modality="text",
    languages=("en",),
    keymaps=BERT,
)

PICKLE = "The repository had no safetensors file when its pages were read; the .bin is loaded."

MODELS = (
    text_model(
        FAMILY,
        "electra-small",
        repo="google/electra-small-discriminator",
        config=BertConfig(
            vocab=30522, width=256, depth=12, heads=4, hidden=1024, embedding_width=128
        ),
        params=13_483_008,
        note=MEAN_BY_CHOICE,
        weights_note=PICKLE,
    ),
    text_model(
        FAMILY,
        "electra-base",
        repo="google/electra-base-discriminator",
        config=BASE,
        params=108_891_648,
        note=MEAN_BY_CHOICE,
        weights_note=PICKLE,
    ),
    text_model(
        FAMILY,
        "electra-large",
        repo="google/electra-large-discriminator",
        config=LARGE,
        params=334_092_288,
        note=MEAN_BY_CHOICE,
        weights_note=PICKLE,
    ),
)
