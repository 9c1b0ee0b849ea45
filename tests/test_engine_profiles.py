"""Which shapes an engine takes, and what becomes of a batch that has others."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.errors import OptionError
from zoo.runtime.profiles import (
    EngineProfile,
    bucket,
    choose,
    complaint,
    piece_sizes,
    profiles_for,
    step_of,
)
from zoo.runtime.trt_session import buffer_sizes, padded
from zoo.spec import Dim, TensorSpec

BATCH = Dim(name="batch", min=1, typical=1, max=8)
LENGTH = Dim(name="length", min=1, typical=64, max=100)
TEXT = (
    TensorSpec(name="ids", dtype="int64", shape=(BATCH, LENGTH), padding="masked"),
    TensorSpec(name="mask", dtype="int64", shape=(BATCH, LENGTH), padding="masked", skippable=True),
)
SOUND = (TensorSpec(name="waves", dtype="float32", shape=(BATCH, LENGTH), padding="forbidden"),)
IMAGE = (TensorSpec(name="pixels", dtype="float32", shape=(BATCH, 3, 32, 48)),)


def both(*shape: int) -> dict[str, tuple[int, ...]]:
    """Return one shape for ids and mask."""
    return {"ids": shape, "mask": shape}


# Profiles


def test_a_profile_spans_what_the_bundle_was_proven_for() -> None:
    (profile,) = profiles_for(TEXT)
    assert profile.shapes == dict.fromkeys(("ids", "mask"), ((1, 1), (1, 64), (8, 100)))
    (profile,) = profiles_for(IMAGE)
    assert profile.shapes["pixels"] == ((1, 3, 32, 48), (1, 3, 32, 48), (8, 3, 32, 48))


def test_several_profiles_divide_the_batches_and_are_tuned_for_their_largest() -> None:
    one, few, many = profiles_for(TEXT, (1, 3, 8))
    assert [profile.batches for profile in (one, few, many)] == [(1, 1), (2, 3), (4, 8)]
    assert few.shapes["ids"] == ((2, 1), (3, 64), (3, 100))


@pytest.mark.parametrize("batches", [(8, 1), (1, 4), (1, 16), (0, 8), (2, 2, 8)])
def test_profiles_that_do_not_divide_the_batches_are_refused(batches: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match=r"the graph is made for, 1\.\.8: they must ascend"):
        profiles_for(TEXT, batches)


def test_the_narrowest_profile_that_takes_all_inputs_runs_them() -> None:
    profiles = profiles_for(TEXT, (2, 8))
    assert [choose(profiles, both(size, 9)) for size in (1, 2, 3, 8)] == [0, 0, 1, 1]
    wide, narrow = profiles_for(TEXT)[0], profiles_for(TEXT, (2, 8))[0]
    assert choose((wide, narrow), both(2, 9)) == 1
    assert choose(profiles, both(9, 9)) is None
    assert choose(profiles, both(1, 101)) is None
    assert choose(profiles, {"ids": (1, 9), "mask": (1, 101)}) is None


def test_a_shape_that_no_profile_takes_is_said_in_the_words_of_its_axis() -> None:
    profiles = profiles_for(TEXT, (2, 8))
    assert complaint(TEXT, both(1, 101), profiles) == (
        "ids has a length of 101; the engine takes 1..100. Export it with other sizes for others."
    )
    said = complaint(IMAGE, {"pixels": (1, 3, 32, 64)}, profiles_for(IMAGE))
    assert said.startswith("pixels has a size of 64 on axis 3; the engine takes 48.")
    gap = (profiles[0],)
    assert "No profile of the engine" not in complaint(TEXT, both(5, 5), gap)
    assert "No profile of the engine takes ids (1,)" in complaint(TEXT, both(1), gap)


# Batches


def test_a_batch_is_cut_into_pieces_that_the_engine_takes() -> None:
    assert piece_sizes(19, profiles_for(TEXT)) == [(8, 8), (8, 8), (3, 3)]
    assert piece_sizes(16, profiles_for(TEXT)) == [(8, 8), (8, 8)]
    assert piece_sizes(2, profiles_for(TEXT)) == [(2, 2)]


def test_too_few_samples_are_filled_up_to_the_smallest_batch() -> None:
    least = Dim(name="batch", min=4, typical=4, max=8)
    inputs = (TensorSpec(name="waves", dtype="float32", shape=(least, 10)),)
    assert piece_sizes(9, profiles_for(inputs)) == [(8, 8), (1, 4)]


@pytest.mark.parametrize(
    ("shape", "grown"),
    [((1, 1), (1, 16)), ((3, 16), (4, 16)), ((5, 17), (8, 32)), ((8, 97), (8, 100))],
)
def test_masked_batches_grow_to_few_shapes(shape: tuple[int, int], grown: tuple[int, int]) -> None:
    (profile,) = profiles_for(TEXT)
    assert bucket(TEXT, both(*shape), profile) == both(*grown)


def test_steps_of_long_axes_are_wide_and_keep_to_the_axis_own_multiple() -> None:
    def step(most: int, multiple: int = 1) -> int:
        return step_of(Dim(name="n", min=multiple, typical=multiple, max=most, multiple=multiple))

    assert [step(24), step(512), step(2048), step(480_000)] == [16, 16, 32, 8192]
    assert step(700, multiple=14) == 28


def test_what_no_mask_can_hide_is_never_padded() -> None:
    (profile,) = profiles_for(SOUND)
    assert bucket(SOUND, {"waves": (3, 17)}, profile) == {"waves": (4, 17)}
    unmasked = TEXT[:1]
    assert bucket(unmasked, {"ids": (3, 17)}, profiles_for(unmasked)[0]) == {"ids": (4, 17)}


def test_growing_stays_within_the_profile() -> None:
    few, many = profiles_for(TEXT, (3, 8))
    assert bucket(TEXT, both(3, 100), few) == both(3, 100)
    assert bucket(TEXT, both(4, 1), many) == both(4, 16)


def test_padding_repeats_the_last_sample_and_fills_its_end() -> None:
    ids = np.array([[5, 6], [7, 8]])
    np.testing.assert_array_equal(
        padded(ids, (3, 4), 1), [[5, 6, 1, 1], [7, 8, 1, 1], [7, 8, 1, 1]]
    )
    assert padded(ids, (2, 2), 1) is ids


def test_buffers_hold_the_largest_shape_of_any_profile() -> None:
    largest = [{"ids": (2, 100), "pooled": (2, 4)}, {"ids": (8, 10), "pooled": (8, 4)}]
    types = {"ids": np.dtype(np.int64), "pooled": np.dtype(np.float32)}
    assert buffer_sizes(largest, types) == {"ids": 1600, "pooled": 128}


def test_a_profile_knows_what_it_may_cost() -> None:
    profile = EngineProfile(shapes={"a": ((1, 1), (1, 2), (2, 3)), "b": ((1,), (1,), (2,))})
    assert profile.volume == 8
