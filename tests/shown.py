"""What tests show of one row, run here by name: keys at full size, and preprocessing.

A test that is parametrised over rows is called with each set of its parameters that names the row,
so that what the coverage table says of a row is what the test of that row says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

from tests import (
    test_audio_parity,
    test_audio_preprocess,
    test_autoencoder,
    test_beit,
    test_bert_rows,
    test_clip_catalogue,
    test_colbert,
    test_convnext,
    test_dinov3,
    test_imagegpt,
    test_resnet,
    test_siglip,
    test_static,
    test_swin,
    test_text_kinds,
    test_video,
    test_vit_coverage,
)
from zoo.spec import ModelSpec

Test = Callable[..., None]

FULL_SIZE: Sequence[Test] = (
    test_vit_coverage.test_timms_tensors_at_full_size_are_covered_both_ways,
    test_vit_coverage.test_transformers_tensors_at_full_size_are_covered_both_ways,
    test_dinov3.test_timms_tensors_at_full_size_are_covered_both_ways,
    test_dinov3.test_transformers_tensors_at_full_size_are_covered_both_ways,
    test_dinov3.test_the_authors_tensors_at_full_size_are_covered_both_ways,
    test_beit.test_timms_tensors_at_full_size_are_covered_both_ways,
    test_beit.test_transformers_tensors_at_full_size_are_covered_both_ways,
    test_swin.test_timms_tensors_at_full_size_are_covered_both_ways,
    test_swin.test_transformers_tensors_at_full_size_are_covered_both_ways,
    test_convnext.test_timms_tensors_at_full_size_are_covered_both_ways,
    test_convnext.test_transformers_tensors_at_full_size_are_covered_both_ways,
    test_convnext.test_the_authors_tensors_at_full_size_are_covered_both_ways,
    test_resnet.test_full_size_keys_and_shapes_cover_the_network_both_ways,
    test_imagegpt.test_transformers_tensors_at_full_size_are_covered_both_ways,
    test_autoencoder.test_diffusers_tensors_at_full_size_are_covered_both_ways,
    test_clip_catalogue.test_full_size_keys_and_shapes_of_open_clip_are_covered,
    test_clip_catalogue.test_full_size_keys_and_shapes_of_transformers_are_covered,
    test_siglip.test_full_size_keys_and_shapes_of_open_clip_are_covered,
    test_siglip.test_full_size_keys_and_shapes_of_transformers_are_covered,
    test_bert_rows.test_a_bare_file_with_a_buffer_of_positions_is_covered_exactly,
    test_bert_rows.test_a_file_with_prefix_heads_and_old_norms_is_covered_exactly,
    test_text_kinds.test_a_file_of_full_size_is_covered_exactly,
    test_colbert.test_a_file_of_full_size_is_covered_exactly,
    test_static.test_the_key_map_covers_the_full_size_table,
    test_audio_parity.test_the_key_map_covers_the_full_size_network,
    test_video.test_the_key_map_covers_the_full_size_network,
)
PREPROCESSING: Sequence[Test] = (
    test_beit.test_pixels_are_those_of_the_library_that_the_row_names,
    test_swin.test_pixels_are_those_of_the_authors_evaluation,
    test_clip_catalogue.test_pixels_are_bit_equal_to_open_clips_transform,
    test_siglip.test_pixels_are_open_clips_and_transformers,
    test_autoencoder.test_pixels_are_those_of_diffusers_processor,
    test_audio_preprocess.test_spectrograms_equal_whispers_feature_extractor,
)


def cases(test: Test, row: ModelSpec) -> Iterator[dict[str, Any]]:
    """Yield the sets of parameters of a test that name a row, or the joint space of its tower."""
    axes = [list(_axis(mark)) for mark in getattr(test, "pytestmark", ()) if _is_axis(mark)]
    names = {row.name, row.space.name if row.space else row.name}
    for choice in product(*axes):
        values = {name: value for part in choice for name, value in part.items()}
        named = (getattr(value, "name", value) for key, value in values.items()
                 if key in ("row", "name"))  # fmt: skip
        if any(isinstance(name, str) and name in names for name in named):
            yield values


def run(tests: Sequence[Test], row: ModelSpec) -> list[str]:
    """Call the tests with every case that names a row; return the name of each case's test.

    Raises:
        AssertionError: One of them fails.
    """
    found = [(test, case) for test in tests for case in cases(test, row)]
    for test, case in found:
        test(**case)
    return [f"tests/{test.__module__.removeprefix('tests.')}.py: "
            f"{test.__name__.removeprefix('test_').replace('_', ' ')}"
            for test, _ in found]  # fmt: skip


def _is_axis(mark: Any) -> bool:
    return bool(mark.name == "parametrize")


def _axis(mark: Any) -> Iterator[dict[str, Any]]:
    """Yield what each value of a `parametrize` gives the test."""
    names, values = mark.args[0], mark.args[1]
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")]
    for value in values:
        value = getattr(value, "values", value) if type(value).__name__ == "ParameterSet" else value
        one = len(names) == 1 and type(value).__name__ != "ParameterSet"
        yield {names[0]: value} if one else dict(zip(names, value, strict=True))
