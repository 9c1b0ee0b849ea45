"""What `encode` promises, whatever the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import zoo
from tests.toys import ToyConfig, ToyPreprocessor, toy
from zoo import samples
from zoo.backends.eager import EagerBackend
from zoo.encoder import Encoder
from zoo.errors import InputError, OptionError, SkippedItemsWarning
from zoo.loading import random_module
from zoo.preprocess import Ask
from zoo.testing import tiny

TEXTS = ["a cat", "", "the quick brown fox jumps over it", "b"]


def encoder(config: ToyConfig | None = None, **facts: Any) -> Encoder:
    spec = toy(config=config, **facts)
    backend = EagerBackend(
        spec, random_module(spec), device=torch.device("cpu"), dtype=torch.float32
    )
    return Encoder(spec, preprocessor=ToyPreprocessor(), backend=backend)


def test_a_list_gives_float32_rows_in_order() -> None:
    model = encoder()

    vectors = model.encode(TEXTS)

    assert vectors.shape == (4, 4)
    assert vectors.dtype == np.float32
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_allclose(model.encode(text), vector, rtol=0, atol=1e-6)


def test_one_item_gives_one_vector_and_an_iterator_gives_rows() -> None:
    model = encoder()

    assert model.encode("one").shape == (4,)
    assert model.encode(iter(TEXTS)).shape == (4, 4)


def test_nothing_gives_no_rows() -> None:
    assert encoder().encode([]).shape == (0, 4)
    assert encoder().encode([], convert_to_tensor=True).shape == (0, 4)
    assert encoder().encode([], output="tokens") == []


def test_tokens_are_as_many_as_each_text_has() -> None:
    tokens = encoder().encode(TEXTS, output="tokens")

    assert [len(t) for t in tokens] == [5, 1, 33, 1]


def test_normalize_can_be_asked_for_and_refused() -> None:
    plain, unit = encoder(), encoder(ToyConfig(normalize=True))

    lengths = np.linalg.norm(unit.encode(TEXTS), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    np.testing.assert_allclose(unit.encode(TEXTS, normalize=False), plain.encode(TEXTS), atol=1e-6)
    np.testing.assert_allclose(plain.encode(TEXTS, normalize=True), unit.encode(TEXTS), atol=1e-6)


@pytest.mark.parametrize("as_tensor", [False, True])
def test_dims_cuts_and_normalises_again(as_tensor: bool) -> None:
    model = encoder(ToyConfig(normalize=True), matryoshka=(2, 4))

    cut = np.asarray(model.encode(TEXTS, dims=2, convert_to_tensor=as_tensor))

    full = model.encode(TEXTS)[:, :2]
    np.testing.assert_allclose(cut, full / np.linalg.norm(full, axis=1, keepdims=True), atol=1e-6)


def test_a_zero_vector_stays_zero_when_it_is_cut_in_float16() -> None:
    model = encoder(ToyConfig(normalize=True), matryoshka=(2, 4))
    model.module.half()
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.zero_()

    cut = model.encode(TEXTS, dims=2, convert_to_tensor=True)

    assert torch.equal(cut, torch.zeros(len(TEXTS), 2, dtype=torch.float16))


def test_dims_is_refused_by_a_model_that_was_not_trained_so() -> None:
    with pytest.raises(OptionError, match="not trained to be cut"):
        encoder().encode(TEXTS, dims=2)
    with pytest.raises(OptionError, match="can be cut to 2, 4; not to 3"):
        encoder(matryoshka=(2, 4)).encode(TEXTS, dims=3)


def test_an_output_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(OptionError, match="gives pooled, tokens; not 'pyramid'"):
        encoder().encode(TEXTS, output="pyramid")


def test_a_bad_item_names_its_index() -> None:
    with pytest.raises(InputError, match="Item 1: a text is needed, not int"):
        encoder().encode(["fine", 3])


def test_skipping_reports_what_was_skipped() -> None:
    with pytest.warns(
        SkippedItemsWarning, match=r"Skipped 2 item\(s\). Item 0: .*; Item 2"
    ) as hits:
        vectors = encoder().encode([1, "fine", None], on_error="skip")

    assert vectors.shape == (1, 4)
    warning = hits[0].message
    assert isinstance(warning, SkippedItemsWarning)
    assert [error.index for error in warning.errors] == [0, 2]


def test_tensors_on_request() -> None:
    vectors = encoder().encode(TEXTS, convert_to_tensor=True)

    assert isinstance(vectors, torch.Tensor)
    np.testing.assert_array_equal(vectors.numpy(), encoder().encode(TEXTS))


def test_several_devices_give_the_same_vectors() -> None:
    model = encoder()

    spread = model.encode(TEXTS * 9, device=["cpu", "cpu"], batch_size=2)

    np.testing.assert_allclose(spread, model.encode(TEXTS * 9), atol=1e-6)


@pytest.mark.parametrize(("device", "why"), [("cuda", "no CUDA"), ("abacus", "is no device")])
def test_a_device_that_is_not_there_is_an_option_error(device: str, why: str) -> None:
    with pytest.raises(OptionError, match=why):
        encoder().encode(TEXTS, device=[device])


def test_one_device_need_not_be_a_list() -> None:
    model = encoder()

    np.testing.assert_array_equal(model.encode(TEXTS, device="cpu"), model.encode(TEXTS))


@pytest.mark.parametrize("size", [0, 1.5, "2"])
def test_batch_sizes_below_one_are_refused(size: Any) -> None:
    with pytest.raises(OptionError, match="no whole number of 1 or more"):
        encoder().encode(TEXTS, batch_size=size)


def test_another_way_with_errors_is_refused() -> None:
    bad: Any = "ignore"

    with pytest.raises(OptionError, match="on_error='ignore' is none of raise, skip"):
        encoder().encode([3], on_error=bad)


def test_a_column_of_texts_is_as_many_items() -> None:
    model = encoder()
    plain = model.encode(["a", "bc"])

    np.testing.assert_array_equal(model.encode(np.array(["a", "bc"])), plain)
    np.testing.assert_array_equal(model.encode(np.array(["a", "bc"], dtype=object)), plain)


@pytest.mark.parametrize("item", [np.array("a"), np.array([["a"]]), torch.zeros(2, 2)])
def test_other_arrays_are_no_texts(item: Any) -> None:
    with pytest.raises(InputError, match="Item 0: a text is needed"):
        encoder().encode(item)


@pytest.mark.parametrize("batch", [{}, "a cat", ["a cat"], {"ids": np.zeros((1, 1), np.int64)}])
def test_what_is_no_batch_is_refused_with_a_hint(batch: Any) -> None:
    with pytest.raises(InputError, match=r"mapping of ids, mask to arrays.*use `encode\(items\)`"):
        encoder()(batch)


def test_a_vector_does_not_depend_on_its_batch() -> None:
    model = encoder()
    alone = np.stack([model.encode(text) for text in TEXTS])

    for size in (1, 2, 3, 4):
        np.testing.assert_allclose(model.encode(TEXTS, batch_size=size), alone, atol=1e-6)


def test_a_network_that_its_user_moves_is_given_what_it_takes_now() -> None:
    model = zoo.load(tiny(zoo.resolve("dino-s16")[0]), weights="random")
    images = samples.images()[:2]
    before = model.encode(images)

    model.module.double()

    assert model(model.preprocess(images)).pooled.dtype == torch.float64
    np.testing.assert_allclose(model.encode(images), before, atol=1e-5)


def test_calling_keeps_gradients_and_encode_does_not() -> None:
    model = encoder()

    encoded = model(model.preprocess(TEXTS))
    assert encoded.pooled is not None
    encoded.pooled.sum().backward()

    assert all(p.grad is not None for p in model.module.parameters())
    assert not model.encode(TEXTS, convert_to_tensor=True).requires_grad


def test_blocks_gives_the_outputs_of_chosen_blocks() -> None:
    model = encoder()
    batch = model.preprocess(["abc"])

    last, first = model.blocks(batch, indices=[-1, 0])

    assert first.shape == last.shape == (1, 3, 4)
    torch.testing.assert_close(torch.tanh(last), model(batch).tokens)
    with pytest.raises(OptionError, match="has 2 blocks; there is no 5"):
        model.blocks(batch, indices=[5])


def test_roles_and_prompts_reach_the_preprocessor() -> None:
    model = encoder()

    model.encode_query("x", prompt="find: ")

    preprocessor = model.preprocessor
    assert isinstance(preprocessor, ToyPreprocessor)
    assert preprocessor.asked[0] == Ask(role="query", prompt="find: ")


def test_progress_is_told_to_a_callable_after_each_batch() -> None:
    told: list[tuple[int, int | None]] = []

    encoder().encode(TEXTS, batch_size=3, progress=lambda done, total: told.append((done, total)))

    assert told == [(3, 4), (4, 4)]


def test_progress_draws_on_stderr_only_when_asked(capfd: pytest.CaptureFixture[str]) -> None:
    encoder().encode(TEXTS)
    assert capfd.readouterr() == ("", "")

    encoder().encode(TEXTS, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "items" in err


def test_stream_yields_while_the_iterator_still_runs() -> None:
    stream = encoder().stream("text" for _ in iter(int, 1))

    index, vector = next(stream)

    assert index == 0
    assert vector.shape == (4,)


def test_similarity_is_cosine_for_one_vector_an_item() -> None:
    model = encoder()
    vectors = model.encode(TEXTS)

    np.testing.assert_allclose(np.diag(model.similarity(vectors, vectors)), 1, atol=1e-6)


def test_preprocessing_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to preprocess"):
        encoder().preprocess([])
