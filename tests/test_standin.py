"""Random weights need no tokenizer file."""

from __future__ import annotations

import socket

import pytest

import zoo
from zoo.encoder import Encoder
from zoo.errors import OptionError
from zoo.preprocess import Ask
from zoo.preprocess.standin import standin_tokenizer
from zoo.preprocess.text import resolve_role
from zoo.spec import Role, TextPreprocess


@pytest.mark.parametrize("vocab", [5, 40, 300, 30522])
@pytest.mark.parametrize("pad_id", [0, 1])
def test_ids_stay_below_the_vocabulary_and_off_the_padding(vocab: int, pad_id: int) -> None:
    tokenizer = standin_tokenizer(vocab, pad_id=pad_id)

    ids = tokenizer.encode("plain, ümlaut \n 漢字 \U0001f600 \x00").ids

    assert ids[0] == vocab - 2
    assert ids[-1] == vocab - 1 == max(ids)
    assert pad_id not in ids
    assert len(ids) == 2 + len("plain, ümlaut \n 漢字 \U0001f600 \x00".encode())


def test_random_text_weights_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    model = zoo.load("all-minilm-l6-v2", weights="random")
    assert isinstance(model, Encoder)

    vectors = model.encode(["one text", "another"])

    assert vectors.shape == (2, 384)


RECIPE = TextPreprocess(
    max_length=64,
    prompts={"sts": "compare: "},
    roles={"query": Role(prompt="query: ", max_length=32), "document": Role()},
    default_role="query",
)


@pytest.mark.parametrize(
    ("ask", "role"),
    [
        (Ask(), Role(prompt="query: ", max_length=32)),
        (Ask(role="document"), Role()),
        (Ask(role="query", prompt="find: "), Role(prompt="find: ", max_length=32)),
        (Ask(prompt=""), Role(prompt="")),
        (Ask(prompt_name="sts"), Role(prompt="compare: ")),
        (Ask(prompt_name="query"), Role(prompt="query: ")),
    ],
)
def test_a_prompt_replaces_the_roles_own(ask: Ask, role: Role) -> None:
    assert resolve_role(RECIPE, ask) == role


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (Ask(prompt="a", prompt_name="sts"), "Give one of them"),
        (Ask(prompt_name="other"), "no prompt 'other'. It has document, query, sts"),
        (Ask(role="judge"), "no role 'judge'. It has document, query"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(ask: Ask, why: str) -> None:
    with pytest.raises(OptionError, match=why):
        resolve_role(RECIPE, ask)
