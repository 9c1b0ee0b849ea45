"""Model types of transformers' configurations: their families and who reads them. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zoo.fields import Fields
from zoo.spec import Family
from zoo_text import shapes
from zoo_text.configs import Pooling, TextConfig
from zoo_text.families import (
    bert,
    deberta,
    distilbert,
    e5_mistral,
    electra,
    modernbert,
    nomic,
    roberta,
    t5,
    xlm_roberta,
    xlnet,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One model type.

    Attributes:
        family: Whose key tables its files follow.
        read: Its numbers, from a configuration.
        ending: Token that every text ends with, if the tokenizer may not put it there.
        pooling: Where the files do not say.
        own_code: Whether its authors' files name code of their own, which is what is computed here.
    """

    family: Family
    read: Callable[[Fields], TextConfig]
    ending: str = ""
    pooling: Pooling = "mean"
    own_code: bool = False


ARCHITECTURES: Mapping[str, Architecture] = {
    "bert": Architecture(family=bert.FAMILY, read=shapes.bert),
    "roberta": Architecture(family=roberta.FAMILY, read=shapes.bert),
    "camembert": Architecture(family=roberta.FAMILY, read=shapes.bert),
    "xlm-roberta": Architecture(family=xlm_roberta.FAMILY, read=shapes.bert),
    "distilbert": Architecture(family=distilbert.FAMILY, read=shapes.distilbert),
    "electra": Architecture(family=electra.FAMILY, read=shapes.bert),
    "deberta-v2": Architecture(family=deberta.FAMILY, read=shapes.deberta),
    "mistral": Architecture(family=e5_mistral.FAMILY, read=shapes.mistral, pooling="last"),
    "modernbert": Architecture(family=modernbert.FAMILY, read=shapes.modernbert),
    "nomic_bert": Architecture(family=nomic.FAMILY, read=shapes.nomic, own_code=True),
    "t5": Architecture(family=t5.FAMILY, read=shapes.t5, ending=t5.ENDING),
    "xlnet": Architecture(family=xlnet.FAMILY, read=shapes.xlnet, pooling="last"),
}
