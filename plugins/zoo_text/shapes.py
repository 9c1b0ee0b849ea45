"""Read the numbers of an encoder out of transformers' configuration of its model type. No torch.

Each function takes the fields of a `config.json`; what the networks here do not compute is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from zoo.errors import FormatError, UnsupportedCheckpointError
from zoo.fields import Fields
from zoo_text.configs import Activation, BertConfig
from zoo_text.deberta_config import DebertaConfig
from zoo_text.decoder_config import DecoderConfig
from zoo_text.rotary_config import RotaryConfig
from zoo_text.t5_config import T5Config
from zoo_text.xlnet_config import XlnetConfig

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
_MOST_BLOCKS, _MOST_WIDE = 256, 100_000


def bert(fields: Fields) -> BertConfig:
    """Read a BERT, RoBERTa, XLM-R, CamemBERT or ELECTRA."""
    # Positions are counted over real tokens and begin after the padding's.
    counted = fields.text("model_type") in ("roberta", "camembert", "xlm-roberta")
    width = fields.integer("hidden_size", most=_MOST_WIDE)
    embedded = width
    if fields.text("model_type") == "electra":
        embedded = fields.integer("embedding_size", most=_MOST_WIDE)
    vocab = fields.integer("vocab_size")
    pad_id = fields.integer("pad_token_id", int(counted), least=0, most=vocab - 1)
    offset = pad_id + 1 if counted else 0
    return BertConfig(
        vocab=vocab,
        width=width,
        depth=fields.integer("num_hidden_layers", most=_MOST_BLOCKS),
        heads=_heads(fields, "num_attention_heads", width),
        hidden=fields.integer("intermediate_size", most=_MOST_WIDE),
        max_positions=fields.integer("max_position_embeddings", least=offset + _SHORTEST),
        type_vocab=fields.integer("type_vocab_size", 2),
        position_offset=offset,
        pad_id=pad_id,
        embedding_width=None if embedded == width else embedded,
        eps=fields.positive("layer_norm_eps", 1e-12),
        activation=_activation(fields, "hidden_act"),
    )


def distilbert(fields: Fields) -> BertConfig:
    """Read a DistilBERT."""
    vocab = fields.integer("vocab_size")
    width = fields.integer("dim", most=_MOST_WIDE)
    return BertConfig(
        vocab=vocab,
        width=width,
        depth=fields.integer("n_layers", most=_MOST_BLOCKS),
        heads=_heads(fields, "n_heads", width),
        hidden=fields.integer("hidden_dim", most=_MOST_WIDE),
        max_positions=fields.integer("max_position_embeddings", least=_SHORTEST),
        type_vocab=0,
        pad_id=fields.integer("pad_token_id", 0, least=0, most=vocab - 1),
        activation=_activation(fields, "activation"),
    )


def t5(fields: Fields) -> T5Config:
    """Read the encoder of a T5."""
    kind = fields.text("feed_forward_proj", "relu")
    gated = kind.startswith("gated-")
    # transformers reads the plain name of the gated one as the approximation.
    activation = "gelu_new" if kind == "gated-gelu" else kind.removeprefix("gated-")
    vocab = fields.integer("vocab_size")
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
        longest=fields.integer("n_positions", 512, least=_SHORTEST),
    )


def deberta(fields: Fields) -> DebertaConfig:
    """Read a DeBERTa v3."""
    fields.require("relative_attention", True)
    fields.require("share_att_key", True)
    fields.require("position_biased_input", False)
    fields.require("norm_rel_ebd", "layer_norm")
    fields.require("pos_att_type", "p2c|c2p", "c2p|p2c", ["p2c", "c2p"], ["c2p", "p2c"])
    fields.require("type_vocab_size", 0)
    fields.require("conv_kernel_size", 0)
    width = fields.integer("hidden_size", most=_MOST_WIDE)
    fields.require("embedding_size", width)
    vocab = fields.integer("vocab_size")
    longest = fields.integer("max_position_embeddings", 512, least=_SHORTEST)
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
        else fields.integer("max_relative_positions", longest, least=4),
        eps=fields.positive("layer_norm_eps", 1e-7),
        activation=_activation(fields, "hidden_act"),
        pad_id=fields.integer("pad_token_id", 0, least=0, most=vocab - 1),
        longest=longest,
    )


def nomic(fields: Fields) -> RotaryConfig:
    """Read transformers' own spelling, or that of the authors' code."""
    authors = "n_embd" in fields
    if authors:
        fields.require("activation_function", "swiglu")
        fields.require("rotary_emb_fraction", 1.0, 1)
        for name in ("rotary_emb_scale_base", "rotary_scaling_factor"):
            fields.require(name)
        for name in ("prenorm", "rotary_emb_interleaved", "qkv_proj_bias", "mlp_fc1_bias",
                     "mlp_fc2_bias", "use_rms_norm", "parallel_block", "causal"):  # fmt: skip
            fields.require(name, False)
    vocab = fields.integer("vocab_size")
    width = fields.integer("n_embd" if authors else "hidden_size", most=_MOST_WIDE)
    return RotaryConfig(
        vocab=vocab,
        width=width,
        depth=fields.integer("n_layer" if authors else "num_hidden_layers", most=_MOST_BLOCKS),
        heads=_heads(fields, "n_head" if authors else "num_attention_heads", width),
        hidden=fields.integer("n_inner" if authors else "intermediate_size", most=_MOST_WIDE),
        longest=fields.integer(
            "n_positions" if authors else "max_position_embeddings",
            least=_SHORTEST,
        ),
        type_vocab=fields.integer("type_vocab_size", 2, least=0),
        eps=fields.positive("layer_norm_epsilon" if authors else "layer_norm_eps", 1e-12),
        activation="silu" if authors else _activation(fields, "hidden_act"),
        theta=fields.positive("rotary_emb_base", 1000.0) if authors else _theta(fields, 1000.0),
        pad_id=fields.integer("pad_token_id", 0, least=0, most=vocab - 1),
    )


def modernbert(fields: Fields) -> RotaryConfig:
    """Read a ModernBERT."""
    for name in ("attention_bias", "mlp_bias"):
        fields.require(name, False)
    vocab = fields.integer("vocab_size")
    width = fields.integer("hidden_size", most=_MOST_WIDE)
    depth = fields.integer("num_hidden_layers", most=_MOST_BLOCKS)
    angles = fields.inner("rope_parameters")
    return RotaryConfig(
        vocab=vocab,
        width=width,
        depth=depth,
        heads=_heads(fields, "num_attention_heads", width),
        hidden=fields.integer("intermediate_size", most=_MOST_WIDE),
        longest=fields.integer("max_position_embeddings", 8192, least=_SHORTEST),
        pre_norm=True,
        norm_bias=fields.flag("norm_bias", False),
        eps=fields.positive("norm_eps", 1e-5),
        activation=_activation(fields, "hidden_activation"),
        theta=_angles(angles, "full_attention", fields.positive("global_rope_theta", 160_000.0)),
        local_theta=_angles(
            angles, "sliding_attention", fields.positive("local_rope_theta", 10_000.0)
        ),
        window=fields.integer("local_attention", 128, least=2) // 2,
        global_every=_global_every(fields, depth),
        pad_id=fields.integer("pad_token_id", 50283, least=0, most=vocab - 1),
    )


def xlnet(fields: Fields) -> XlnetConfig:
    """Read an XLNet."""
    fields.require("attn_type", "bi")
    fields.require("clamp_len", -1)
    for name in ("bi_data", "same_length"):
        fields.require(name, False)
    fields.require("untie_r", True)
    vocab = fields.integer("vocab_size")
    width = fields.integer("d_model", most=_MOST_WIDE)
    heads = _heads(fields, "n_head", width)
    fields.require("d_head", width // heads)
    return XlnetConfig(
        vocab=vocab,
        width=width,
        depth=fields.integer("n_layer", most=_MOST_BLOCKS),
        heads=heads,
        hidden=fields.integer("d_inner", most=_MOST_WIDE),
        eps=fields.positive("layer_norm_eps", 1e-12),
        activation=_activation(fields, "ff_activation"),
        pad_id=fields.integer("pad_token_id", 5, least=0, most=vocab - 1),
    )


def mistral(fields: Fields) -> DecoderConfig:
    """Read a Mistral."""
    vocab = fields.integer("vocab_size")
    width = fields.integer("hidden_size", most=_MOST_WIDE)
    heads = fields.integer("num_attention_heads", most=_MOST_WIDE)
    shared = fields.integer("num_key_value_heads", heads, most=heads)
    if heads % shared:
        raise FormatError(f"{fields.file}: {shared} heads of keys do not divide {heads}.")
    window = 0
    if fields.get("sliding_window") is not None:
        window = fields.integer("sliding_window")
    return DecoderConfig(
        vocab=vocab,
        width=width,
        depth=fields.integer("num_hidden_layers", most=_MOST_BLOCKS),
        heads=heads,
        shared_heads=shared,
        head_width=fields.integer("head_dim", width // heads, most=_MOST_WIDE),
        hidden=fields.integer("intermediate_size", most=_MOST_WIDE),
        longest=fields.integer("max_position_embeddings", least=_SHORTEST),
        window=window,
        theta=_theta(fields, 10_000.0),
        eps=fields.positive("rms_norm_eps", 1e-6),
        activation=_activation(fields, "hidden_act"),
        pad_id=fields.integer("pad_token_id", 0, least=0, most=vocab - 1),
    )


def _global_every(fields: Fields, depth: int) -> int:
    """Return n, where each block whose place is a multiple of n sees all tokens."""
    kinds = fields.get("layer_types")
    if kinds is None:
        return fields.integer("global_attn_every_n_layers", 3, most=_MOST_BLOCKS)
    known = ("full_attention", "sliding_attention")
    if (
        not isinstance(kinds, list)
        or len(kinds) != depth
        or any(kind not in known for kind in kinds)
    ):
        raise fields.wrong("layer_types", f"a list of {depth} kinds of attention")
    for every in range(1, depth + 1):
        if kinds == [known[place % every != 0] for place in range(depth)]:
            return every
    raise UnsupportedCheckpointError(f"{fields.file} has layer_types without a regular pattern.")


def _theta(fields: Fields, default: float) -> float:
    """Return the base of the rotations, in today's spelling or the older one."""
    fields.require("rope_scaling")
    angles = fields.inner("rope_parameters")
    angles.require("rope_type", "default")
    return angles.positive("rope_theta", fields.positive("rope_theta", default))


def _angles(fields: Fields, kind: str, default: float) -> float:
    """Return the base of the rotations of one kind of block."""
    angles = fields.inner(kind)
    angles.require("rope_type", "default")
    return angles.positive("rope_theta", default)


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
