"""CLIP's token ids against open_clip's tokenizer, which holds the authors' own code."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
from hypothesis import given, settings, strategies as st

from tests.clip_reference import END, START, WORDS, save_tokenizer
from zoo.preprocess.text import TextPreprocessor
from zoo_multimodal.families import clip, openclip
from zoo_multimodal.families.towers import text_preprocess

SPECIAL = r"<\|startoftext\|>|<\|endoftext\|>|"

TEXTS = [
    "",
    " ",
    "a photo of a cat.",
    "A Photo Of A CAT!!!",
    "don't can't I'll we've I'm they'd it's you're",
    "DON'T CAN'T I'LL",
    "don\u2019t use \u201ccurly\u201d quotes \u2014 or do\u2026",
    "fish &amp; chips &lt;b&gt;bold&lt;/b&gt; &#39;quoted&#39; &nbsp; end",
    "twice &amp;amp; escaped &amp;lt;",
    "<p>tags stay</p> & so does &this;",
    "tabs\tand\nnew lines\r\n  and   spaces\u00a0\u2003here ",
    "caf\u00e9 na\u00efve cafe\u0301 \u00c5ngstr\u00f6m \u1e9e",
    "\u4f60\u597d\u4e16\u754c \u3053\u3093\u306b\u3061\u306f \uc548\ub155 "
    "\u041f\u0440\u0438\u0432\u0435\u0442",
    "\u039f\u0394\u039f\u03a3 \u03a3\u03bf\u03c6\u03af\u03b1 \u0130stanbul",
    "\U0001f600 \U0001f469\u200d\U0001f469\u200d\U0001f466 \U0001f1ea\U0001f1fa \u2764\ufe0f",
    "\uff26\uff35\uff2c\uff2c width \ufb01ne \ufb02our",
    "sch\u00c3\u00b6n mojibake \u00e2\u20ac\u0153quotes\u00e2\u20ac\u009d",
    "1234567890 3.14159 1,000,000 2\u00b2 \u00bd \u2167",
    "C++ / C# @user #tag $5 50% ~`^_-=+[]{}|\\;:'\",.<>/?",
    "under_scores and-hyphens and.dots...",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd "
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0928\u092e\u0938\u094d\u0924\u0947",
    "zero\u200bwidth\u200d joiner \ufeff",
    "\x1b[31mred\x1b[0m control \x07 bell",
    "supercalifragilisticexpialidocious" * 5,
    " ".join(f"word{i}" for i in range(200)),
    "dog " * 75,
    "dog " * 76,
    "dog " * 74,
]  # fmt: skip


@pytest.fixture(scope="module", params=["", SPECIAL], ids=["hub", "transformers 5"])
def preprocessor(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> TextPreprocessor:
    """Read the file of OpenAI's repositories, and the one that today's transformers writes."""
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder, words=request.param + WORDS)
    return TextPreprocessor(
        text_preprocess(77), folder / "tokenizer.json", inputs=("input_ids",), vocab=49_408
    )


def ids(preprocessor: TextPreprocessor, texts: list[str]) -> np.ndarray:
    batch = preprocessor.collate(preprocessor.prepare(texts))
    assert set(batch) == {"input_ids"}
    return batch["input_ids"]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:20]))
def test_token_ids_equal_open_clip(preprocessor: TextPreprocessor, text: str) -> None:
    expected = open_clip.tokenizer.tokenize([text]).numpy()

    np.testing.assert_array_equal(ids(preprocessor, [text]), expected)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.text(
        # Lone surrogates are refused. U+0345 folds to a letter, and so is dropped by open_clip's
        # case-blind expression alone. Characters of tomorrow are known to only one of the two.
        alphabet=st.characters(
            codec="utf-8", exclude_categories=("Cn", "Co"), exclude_characters="\u0345"
        )
    )
)
def test_token_ids_of_any_text_equal_open_clip(preprocessor: TextPreprocessor, text: str) -> None:
    expected = open_clip.tokenizer.tokenize([text]).numpy()

    np.testing.assert_array_equal(ids(preprocessor, [text]), expected)


def test_a_batch_is_padded_to_the_context_with_zeros(preprocessor: TextPreprocessor) -> None:
    result = ids(preprocessor, ["a cat", "a photo of a very small cat"])

    assert result.shape == (2, 77)
    assert (result[:, 0] == START).all()
    for row in result:
        end = int(np.flatnonzero(row == END)[0])
        assert not row[end + 1 :].any()
        assert row.argmax() == end


def test_a_long_text_is_cut_and_still_ends(preprocessor: TextPreprocessor) -> None:
    row = ids(preprocessor, [" ".join(["dog"] * 200)])[0]

    assert row[0] == START
    assert row[-1] == END
    assert len(set(row[1:-1])) == 1


def test_every_text_tower_uses_this_tokenizer() -> None:
    for row in (*clip.ROWS, *openclip.ROWS):
        if row.modality == "text":
            recipe = row.preprocess
            assert recipe.clean == "clip"
            assert recipe.pad_to_max
            assert (recipe.pad_id, recipe.max_length) == (0, row.config.context)
