"""References for the text encoders beyond BERT's kind: one record a kind, tiny and full size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers.core_model_loading import revert_weight_conversion

import zoo
from tests.exact import exact
from tests.reference import make_live
from zoo.encoder import Encoder
from zoo_text.configs import TextConfig
from zoo_text.deberta_config import DebertaConfig
from zoo_text.decoder_config import DecoderConfig
from zoo_text.rotary_config import RotaryConfig
from zoo_text.t5_config import T5Config
from zoo_text.xlnet_config import XlnetConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One model type.

    Attributes:
        tiny: Numbers of a tiny one of ours.
        numbers: The same as transformers spells them, for any size.
        config: Class of its configuration.
        bare: Class of the encoder alone.
        headed: Class of what the published files hold.
        inner: Name of the encoder inside `headed`.
        families: Whose rows are of this kind.
        rounds: Modules of transformers that round to float32.
        tied: Names of `headed` that no file holds, because another has the same tensor.
        extra: What the reference takes beside ids and mask, made of the mask.
    """

    tiny: TextConfig
    numbers: Callable[[Any], dict[str, Any]]
    config: Any
    bare: Any
    headed: Any
    inner: str
    families: tuple[str, ...]
    rounds: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()
    extra: Callable[[Tensor], dict[str, Tensor]] = lambda _: {}

    def make(self, config: TextConfig, *, headed: bool = False) -> Any:
        """Return a reference model of the numbers of a config of ours."""
        return (self.headed if headed else self.bare)(self.config(**self.numbers(config)))

    @torch.no_grad()
    def run(self, model: Any, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the tokens that a reference encoder makes of a batch."""
        with self.wide(model.dtype):
            out = model(input_ids=ids, attention_mask=mask, **self.extra(mask))
        tokens: Tensor = out.last_hidden_state
        return tokens

    def wide(self, dtype: torch.dtype) -> AbstractContextManager[None]:
        """Keep the reference from rounding, in float64."""
        return exact(*self.rounds) if dtype == torch.float64 else nullcontext()


def _t5(config: T5Config) -> dict[str, Any]:
    name = {"relu": "relu", "gelu_tanh": "gelu"}[config.activation]
    return {
        "vocab_size": config.vocab,
        "d_model": config.width,
        "num_layers": config.depth,
        "num_heads": config.heads,
        "d_kv": config.head_width,
        "d_ff": config.hidden,
        "feed_forward_proj": f"gated-{name}" if config.gated else name,
        "relative_attention_num_buckets": config.buckets,
        "relative_attention_max_distance": config.max_distance,
    }


T5 = T5Config(
    vocab=48, width=32, depth=3, heads=3, head_width=8, hidden=64, buckets=8, max_distance=12,
)  # fmt: skip
_T5_KIND = Kind(
    tiny=T5,
    numbers=_t5,
    config=transformers.T5Config,
    bare=transformers.T5EncoderModel,
    headed=transformers.T5ForConditionalGeneration,
    inner="encoder",
    families=("t5", "sentence-t5", "gtr"),
    rounds=("transformers.models.t5.modeling_t5",),
    tied=("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"),
)


def _deberta(config: DebertaConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "intermediate_size": config.hidden,
        "position_buckets": config.buckets,
        "max_position_embeddings": config.max_distance,
        "layer_norm_eps": config.eps,
        "max_relative_positions": -1,
        "relative_attention": True,
        "share_att_key": True,
        "pos_att_type": "p2c|c2p",
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "type_vocab_size": 0,
        "legacy": False,
    }


DEBERTA = DebertaConfig(
    vocab=48, width=32, depth=3, heads=4, hidden=64, buckets=8, max_distance=20,
)  # fmt: skip


def _nomic(config: RotaryConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "intermediate_size": config.hidden,
        "max_position_embeddings": config.longest,
        "type_vocab_size": config.type_vocab,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.theta},
    }


NOMIC = RotaryConfig(
    vocab=48, width=32, depth=3, heads=4, hidden=48, longest=64, type_vocab=2, theta=1000.0,
)  # fmt: skip


def _modernbert(config: RotaryConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "intermediate_size": config.hidden,
        "max_position_embeddings": config.longest,
        "local_attention": 2 * config.window,
        "global_attn_every_n_layers": config.global_every,
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": config.theta},
            "sliding_attention": {"rope_type": "default", "rope_theta": config.local_theta},
        },
        "pad_token_id": config.pad_id,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "cls_token_id": 1,
        "sep_token_id": 2,
    }


MODERNBERT = RotaryConfig(
    vocab=48, width=32, depth=5, heads=4, hidden=48, longest=64, pad_id=3, pre_norm=True,
    norm_bias=False, eps=1e-5, activation="gelu", theta=160_000.0, window=3, global_every=2,
)  # fmt: skip


def _xlnet(config: XlnetConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab,
        "d_model": config.width,
        "n_layer": config.depth,
        "n_head": config.heads,
        "d_inner": config.hidden,
        "pad_token_id": config.pad_id,
    }


def segments(mask: Tensor) -> dict[str, Tensor]:
    """Return what XLNet's tokenizer gives beside ids: 0 in a text, 2 at its end, 3 on padding."""
    ends = torch.arange(mask.shape[1]) == mask.sum(1, keepdim=True) - 1
    return {"token_type_ids": torch.where(ends, 2, torch.where(mask.bool(), 0, 3))}


XLNET = XlnetConfig(
    vocab=48, width=32, depth=3, heads=4, hidden=64, pad_id=5, pooling="last",
)  # fmt: skip


def _mistral(config: DecoderConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.shared_heads,
        "head_dim": config.head_width,
        "intermediate_size": config.hidden,
        "max_position_embeddings": config.longest,
        "sliding_window": config.window or None,
        "rms_norm_eps": config.eps,
        "pad_token_id": config.pad_id,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.theta},
    }


MISTRAL = DecoderConfig(
    vocab=48, width=32, depth=3, heads=6, shared_heads=2, head_width=8, hidden=48, longest=64,
    window=5, pad_id=2, pooling="last",
)  # fmt: skip

KINDS: Mapping[str, Kind] = {
    "t5": _T5_KIND,
    "flan-t5": replace(
        _T5_KIND,
        tiny=replace(T5, gated=True, activation="gelu_tanh"),
        families=("flan-t5",),
    ),
    "deberta": Kind(
        tiny=DEBERTA,
        numbers=_deberta,
        config=transformers.DebertaV2Config,
        bare=transformers.DebertaV2Model,
        headed=transformers.DebertaV2ForMaskedLM,
        inner="deberta",
        families=("deberta-v3",),
        rounds=("transformers.models.deberta_v2.modeling_deberta_v2",),
        tied=("lm_predictions.lm_head.decoder.weight",),
    ),
    "nomic": Kind(
        tiny=NOMIC,
        numbers=_nomic,
        config=transformers.NomicBertConfig,
        bare=transformers.NomicBertModel,
        headed=transformers.NomicBertForMaskedLM,
        inner="nomic_bert",
        families=("nomic-embed",),
        rounds=("transformers.models.nomic_bert.modeling_nomic_bert",),
        tied=("cls.predictions.decoder.weight", "cls.predictions.decoder.bias"),
    ),
    "modernbert": Kind(
        tiny=MODERNBERT,
        numbers=_modernbert,
        config=transformers.ModernBertConfig,
        bare=transformers.ModernBertModel,
        headed=transformers.ModernBertForMaskedLM,
        inner="model",
        families=("modernbert",),
        rounds=("transformers.models.modernbert.modeling_modernbert",),
        tied=("decoder.weight",),
    ),
    "xlnet": Kind(
        tiny=XLNET,
        numbers=_xlnet,
        config=transformers.XLNetConfig,
        bare=transformers.XLNetModel,
        headed=transformers.XLNetLMHeadModel,
        inner="transformer",
        families=("xlnet",),
        rounds=("transformers.models.xlnet.modeling_xlnet",),
        tied=("lm_loss.weight",),
        extra=segments,
    ),
    "mistral": Kind(
        tiny=MISTRAL,
        numbers=_mistral,
        config=transformers.MistralConfig,
        bare=transformers.MistralModel,
        headed=transformers.MistralForCausalLM,
        inner="model",
        families=("e5-mistral",),
        rounds=("transformers.models.mistral.modeling_mistral",),
    ),
}


def reference(name: str, *, headed: bool = False, dtype: torch.dtype = torch.float64) -> Any:
    """Return a tiny live reference model in evaluation mode."""
    kind = KINDS[name]
    with kind.wide(dtype):
        model = kind.make(kind.tiny, headed=headed).to(dtype)
    computed = {name: buffer.clone() for name, buffer in model.named_buffers()}
    make_live(model)
    for name, buffer in model.named_buffers():  # angles are no weights
        buffer.copy_(computed[name])
    return model


def save(model: Any, folder: Path) -> Path:
    """Save a model in the Hub's layout, with a tokenizer beside it."""
    model.save_pretrained(folder)
    unigram().save(str(folder / "tokenizer.json"))
    return folder


def unigram() -> Tokenizer:
    """Return a sentence-piece tokenizer of letters, as T5's: no token before a text, one after."""
    letters = "abcdefghijklmnopqrstu"
    pieces = ["<pad>", "</s>", "<unk>", "\u2581", *letters, *("\u2581" + one for one in letters)]
    tokenizer = Tokenizer(
        models.Unigram([(piece, -float(len(piece))) for piece in pieces], unk_id=2)
    )
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return tokenizer


def load(folder: Path, dtype: torch.dtype = torch.float64, **changes: Any) -> Encoder:
    """Load a folder as a user would, through its configuration files."""
    (spec,) = zoo.api.resolve(str(folder))
    encoder = zoo.load(spec.with_config(**changes), dtype=dtype)
    assert isinstance(encoder, Encoder)
    return encoder


def ids_and_mask(config: TextConfig, length: int) -> tuple[Tensor, Tensor]:
    """Return three texts of different lengths, padded on the right: ids (3, N), mask (3, N)."""
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(5, config.vocab, (3, length), generator=generator)
    mask = torch.ones(3, length, dtype=torch.int64)
    for row, real in enumerate((length, max(1, length // 2), 1)):
        ids[row, real:] = config.pad_id
        mask[row, real:] = 0
    return ids, mask


@torch.no_grad()
def run(encoder: Encoder, ids: Tensor, mask: Tensor) -> zoo.Encoded:
    """Run a batch."""
    return encoder({"input_ids": ids, "attention_mask": mask})


def live(config: TextConfig) -> nn.Module:
    """Return our net in float64 with live weights."""
    from zoo.nn.live import make_live as ours

    net = config.build().double().eval()
    ours(net)
    return net


@cache
def reference_header(name: str, config: TextConfig, headed: bool) -> Mapping[str, tuple[int, ...]]:
    """Return names and shapes in the file of a full-size reference model."""
    kind = KINDS[name]
    with torch.device("meta"):
        model = kind.make(config, headed=headed)
    # transformers computes under names of its own, and writes files under the authors'.
    written = revert_weight_conversion(model, model.state_dict())
    return {key: tuple(tensor.shape) for key, tensor in written.items() if key not in kind.tied}


def kind_of(family: str) -> str:
    """Return the kind that the rows of a family are of."""
    return next(name for name, kind in KINDS.items() if family in kind.families)
