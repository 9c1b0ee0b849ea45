"""XLNet: what is easily done wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.bert_references import edit_json
from tests.reference import FLOAT64, relative_error
from tests.text_kinds import KINDS, XLNET, ids_and_mask, live, load, reference, run, save, segments
from zoo.errors import UnsupportedCheckpointError
from zoo.keys import KeyMap, make_plan, move
from zoo_text.families.xlnet import MODELS

KIND = KINDS["xlnet"]


def test_padding_on_the_left_as_the_authors_do_gives_the_same(tmp_path: Path) -> None:
    model = reference("xlnet")
    encoder = load(save(model, tmp_path))
    ids, mask = ids_and_mask(XLNET, 11)
    lengths = mask.sum(1).tolist()

    def to_left(values: torch.Tensor) -> torch.Tensor:
        return torch.stack([row.roll(11 - size) for row, size in zip(values, lengths, strict=True)])

    with torch.no_grad(), KIND.wide(torch.float64):
        padded = model(
            input_ids=to_left(ids),
            attention_mask=to_left(mask),
            token_type_ids=to_left(segments(mask)["token_type_ids"]),
        ).last_hidden_state
    ours = run(encoder, ids, mask).tokens

    for row, size in enumerate(lengths):
        assert relative_error(ours[row, :size], padded[row, 11 - size :]) <= FLOAT64


def test_the_class_token_is_a_segment_of_its_own(tmp_path: Path) -> None:
    model = reference("xlnet")
    encoder = load(save(model, tmp_path))
    ids, mask = ids_and_mask(XLNET, 9)

    with torch.no_grad(), KIND.wide(torch.float64):
        one_segment = model(
            input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids)
        ).last_hidden_state
        no_segments = model(input_ids=ids, attention_mask=mask).last_hidden_state

    ours = run(encoder, ids, mask).tokens
    for other in (one_segment, no_segments):
        assert relative_error(ours[0], other[0]) > 1e-3
    assert relative_error(ours, KIND.run(model, ids, mask)) > 0  # padding's tokens mean nothing


def test_the_vector_is_that_of_the_last_real_token(tmp_path: Path) -> None:
    encoder = load(save(reference("xlnet"), tmp_path), pooling="last")
    ids, mask = ids_and_mask(XLNET, 9)

    out = run(encoder, ids, mask)

    assert {row.pooling for row in MODELS} == {"last"}
    for row, size in enumerate(mask.sum(1).tolist()):
        assert torch.equal(out.pooled[row], out.tokens[row, size - 1])


def test_matrices_with_an_axis_for_heads_are_turned(tmp_path: Path) -> None:
    folder = save(reference("xlnet"), tmp_path)
    attention = load(folder).module.get_submodule("blocks.1.attention")
    tensors = load_file(folder / "model.safetensors")
    x = torch.randn(5, 32, dtype=torch.float64)

    for theirs, ours in {"q": "q", "r": "distance"}.items():
        expected = torch.einsum("tw,whe->the", x, tensors[f"layer.1.rel_attn.{theirs}"])
        found = getattr(attention, ours)(x).detach()
        assert relative_error(found, expected.flatten(1)) <= FLOAT64
    mixed = x.reshape(5, 4, 8)
    expected = torch.einsum("the,whe->tw", mixed, tensors["layer.1.rel_attn.o"])
    assert relative_error(attention.get_submodule("proj")(x).detach(), expected) <= FLOAT64


def test_a_rule_that_joins_axes_checks_shapes() -> None:
    keymap = KeyMap(name="x", rules=(move("a", "b", flatten=True, transpose=True),))

    plan = make_plan([keymap], {"a": (6, 2, 4)}, {"b": (8, 6)})

    assert plan.assignments[0].targets == ("b",)


def test_no_token_sees_less_than_all_of_its_text() -> None:
    net = live(XLNET)
    ids, _ = ids_and_mask(XLNET, 8)

    for place in range(8):
        other = ids[:1].clone()
        other[0, place] = (other[0, place] + 1) % 48
        with torch.no_grad():
            changed = (net(ids[:1]).tokens != net(other).tokens).any(-1)
        assert changed.all(), place


@pytest.mark.parametrize(
    "changes",
    [{"attn_type": "uni"}, {"bi_data": True}, {"clamp_len": 8}, {"same_length": True},
     {"d_head": 4}, {"untie_r": False}],
)  # fmt: skip
def test_what_an_encoder_does_not_do_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    folder = save(reference("xlnet"), tmp_path)
    edit_json(folder / "config.json", **changes)

    with pytest.raises(UnsupportedCheckpointError, match=next(iter(changes))):
        load(folder)
