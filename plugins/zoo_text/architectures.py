"""Model types of transformers' configurations: their families and their numbers. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.fields import Fields
from zoo.spec import Family
from zoo_text.configs import Activation, BertConfig, TextConfig
from zoo_text.deberta_config import DebertaConfig
from zoo_text.families import bert, deberta, distilbert, electra, roberta, t5, xlm_roberta
from zoo_text.t5_config import T5Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One model type.

    Attributes:
        family: Whose key tables its files follow.
        read: Its numbers, from a configuration.
        ending: Token that every text ends with, if the tokenizer may not put it there.
    """

    family: Family
    read: Callable[[Fields], TextConfig]
    ending: str = ""


_ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
_SHORTEST = 3  # tokens
# Far beyond any network in use; a broken number must not ask for all memory.
_MOST_BLOCKS, _MOST_WIDE, _MOST_ROWS = 256, 100_000, 10_000_000


def _bert(fields: Fields) -> BertConfig:
    # Positions are counted over real tokens and begin after the padding's.
    counted = fields.text("model_type") in ("roberta", "camembert", "xlm-roberta")
    width = fields.integer("hidden_size", most=_MOST_WIDE)
    embedded = width
    if fields.text("model_type") == "electra":
        embedded = fields.integer("embedding_size", most=_MOST_WIDE)
    vocab = fields.integer("vocab_size", most=_MOST_ROWS)
    pad_id = fields.integer("pad_token_id", int(counted), least=0, most=vocab - 1)
    offset = pad_id + 1 if counted else 0
    return BertConfig(
        vocab=vocab,
        width=width,
        depth=fields.integer("num_hidden_layers", most=_MOST_BLOCKS),
        heads=_heads(fields, "num_attention_heads", width),
        hidden=fields.integer("intermediate_size", most=_MOST_WIDE),
        max_positions=fields.integer(
            "max_position_embeddings", least=offset + _SHORTEST, most=_MOST_ROWS
        ),
        type_vocab=fields.integer("type_vocab_size", 2, most=_MOST_ROWS),
        position_offset=offset,
        pad_id=pad_id,
        embedding_width=None if embedded == width else embedded,
        eps=fields.positive("layer_norm_eps", 1e-12),
        activation=_activation(fields, "hidden_act"),
    )


def _distilbert(fields: Fields) -> BertConfig:
    vocab = fields.integer("vocab_size", most=_MOST_ROWS)
    width = fields.integer("dim", most=_MOST_WIDE)
    return BertConfig(
        vocab=vocab,
        width=width,
        depth=fields.integer("n_layers", most=_MOST_BLOCKS),
        heads=_heads(fields, "n_heads", width),
        hidden=fields.integer("hidden_dim", most=_MOST_WIDE),
        max_positions=fields.integer("max_position_embeddings", least=_SHORTEST, most=_MOST_ROWS),
        type_vocab=0,
        pad_id=fields.integer("pad_token_id", 0, least=0, most=vocab - 1),
        activation=_activation(fields, "activation"),
    )


def _t5(fields: Fields) -> T5Config:
    kind = fields.text("feed_forward_proj", "relu")
    gated = kind.startswith("gated-")
    # transformers reads the plain name of the gated one as the approximation.
    activation = "gelu_new" if kind == "gated-gelu" else kind.removeprefix("gated-")
    vocab = fields.integer("vocab_size", most=_MOST_ROWS)
    return T5Config(
        vocab=vocab,
        width=fields.integer("d_model", most=_MOST_WIDE),
        depth=fields.integer("num_layers", most=_MOST_BLOCKS),
        heads=fields.integer("num_heads", most=_MOST_WIDE),
        head_width=fields.integer("d_kv", most=_MOST_WIDE),
        hidden=fields.integer("d_ff", most=_MOST_WIDE),
        gated=gated,
        activation=_known(activation, fields),
        buckets=fields.integer("relative_attention_num_buckets", 32, least=4, most=_MOST_WIDE),
        max_distance=fields.integer("relative_attention_max_distance", 128, most=_MOST_WIDE),
        eps=fields.positive("layer_norm_epsilon", 1e-6),
        pad_id=fields.integer("pad_token_id", 0, least=0, most=vocab - 1),
        longest=fields.integer("n_positions", 512, least=_SHORTEST, most=_MOST_ROWS),
    )


def _deberta(fields: Fields) -> DebertaConfig:
    fields.require("relative_attention", True)
    fields.require("share_att_key", True)
    fields.require("position_biased_input", False)
    fields.require("norm_rel_ebd", "layer_norm")
    fields.require("pos_att_type", "p2c|c2p", "c2p|p2c", ["p2c", "c2p"], ["c2p", "p2c"])
    fields.require("type_vocab_size", 0)
    fields.require("conv_kernel_size", 0)
    width = fields.integer("hidden_size", most=_MOST_WIDE)
    fields.require("embedding_size", width)
    vocab = fields.integer("vocab_size", most=_MOST_ROWS)
    longest = fields.integer("max_position_embeddings", 512, least=_SHORTEST, most=_MOST_ROWS)
    stated = fields.get("max_relative_positions")  # -1: as many as positions
    return DebertaConfig(
        vocab=vocab,
        width=width,
        depth=fields.integer("num_hidden_layers", most=_MOST_BLOCKS),
        heads=_heads(fields, "num_attention_heads", width),
        hidden=fields.integer("intermediate_size", most=_MOST_WIDE),
        buckets=fields.integer("position_buckets", least=4, most=_MOST_WIDE),
        max_distance=longest
        if stated == -1
        else fields.integer("max_relative_positions", longest, least=4, most=_MOST_ROWS),
        eps=fields.positive("layer_norm_eps", 1e-7),
        activation=_activation(fields, "hidden_act"),
        pad_id=fields.integer("pad_token_id", 0, least=0, most=vocab - 1),
        longest=longest,
    )


def _heads(fields: Fields, field: str, width: int) -> int:
    heads = fields.integer(field, most=_MOST_WIDE)
    if width % heads:
        raise FormatError(f"{fields.file}: {heads} heads do not divide {width}.")
    return heads


def _activation(fields: Fields, field: str) -> Activation:
    return _known(fields.text(field, "gelu"), fields)


def _known(name: str, fields: Fields) -> Activation:
    if name not in _ACTIVATIONS:
        raise UnsupportedCheckpointError(
            f"{fields.file} asks for the activation {name!r}. Supported are "
            f"{', '.join(_ACTIVATIONS)}."
        )
    return _ACTIVATIONS[name]


ARCHITECTURES: Mapping[str, Architecture] = {
    "bert": Architecture(family=bert.FAMILY, read=_bert),
    "roberta": Architecture(family=roberta.FAMILY, read=_bert),
    "camembert": Architecture(family=roberta.FAMILY, read=_bert),
    "xlm-roberta": Architecture(family=xlm_roberta.FAMILY, read=_bert),
    "distilbert": Architecture(family=distilbert.FAMILY, read=_distilbert),
    "electra": Architecture(family=electra.FAMILY, read=_bert),
    "deberta-v2": Architecture(family=deberta.FAMILY, read=_deberta),
    "t5": Architecture(family=t5.FAMILY, read=_t5, ending=t5.ENDING),
}
