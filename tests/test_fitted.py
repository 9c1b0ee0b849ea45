"""Encoders that are fitted: against scikit-learn and OpenCV, saved, loaded, exported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import zoo
from tests.reference import FLOAT32, FLOAT64, relative_error
from zoo import samples
from zoo.cli import main
from zoo.encoder import Encoder
from zoo.errors import FormatError, InputError, OptionError
from zoo.loading import load_row
from zoo.preprocess.keypoints import KeypointPreprocessor, root_sift
from zoo.registry import default_registry
from zoo.spec import KeypointPreprocess
from zoo_classic.fitting.descriptors import k_means, nearest
from zoo_export.build import build_bundle
from zoo_export.parity import default_profile

TEXTS = samples.texts()
EXTRA = [
    "The the THE cat; a cat's cat!",
    "\u00dcber-gro\u00df na\u00efve caf\u00e9 2024 x y",
    "zzz unheard",
]
IMAGES = samples.images()


def load(name: str, *, dtype: str = "float64", **config: Any) -> Encoder:
    row = default_registry().row(name)
    return load_row(replace(row, config=replace(row.config, **config)), dtype=dtype)  # type: ignore[type-var]  # a Protocol cannot say "dataclass"


# TF-IDF


@pytest.mark.parametrize(("dtype", "limit"), [("float64", FLOAT64), ("float32", FLOAT32)])
def test_tfidf_equals_scikit_learn(dtype: str, limit: float) -> None:
    theirs = TfidfVectorizer().fit(TEXTS)

    ours = load("tfidf", dtype=dtype).fit(TEXTS)

    assert list(getattr(ours.preprocessor, "terms", ())) == theirs.get_feature_names_out().tolist()
    expected = theirs.transform([*TEXTS, *EXTRA]).toarray()
    assert relative_error(ours.encode([*TEXTS, *EXTRA]), expected) <= limit


def test_few_terms_and_rare_ones_are_left_out_as_in_scikit_learn() -> None:
    theirs = TfidfVectorizer(min_df=2).fit(TEXTS)

    ours = load("tfidf", least_texts=2).fit(TEXTS)

    assert relative_error(ours.encode(EXTRA), theirs.transform(EXTRA).toarray()) <= FLOAT64
    counts = TfidfVectorizer(use_idf=False, norm=None).fit_transform(TEXTS).toarray().sum(axis=0)
    few = load("tfidf", terms=5).fit(TEXTS)
    assert few.dim == 5
    names = TfidfVectorizer().fit(TEXTS).get_feature_names_out()
    kept = [counts[list(names).index(term)] for term in getattr(few.preprocessor, "terms", ())]
    assert min(kept) >= sorted(counts)[-5]


def test_sparse_vectors_are_the_same_numbers() -> None:
    encoder = load("tfidf").fit(TEXTS)

    sparse = encoder.encode([*TEXTS, *EXTRA], output="sparse")

    assert sparse.format == "csr"
    np.testing.assert_array_equal(sparse.toarray(), encoder.encode([*TEXTS, *EXTRA]))
    assert sparse.nnz < 0.2 * sparse.shape[0] * sparse.shape[1]
    assert encoder.encode([], output="sparse").shape == (0, encoder.dim)
    assert encoder.encode("cat", output="sparse").shape == (1, encoder.dim)


def test_a_text_without_known_terms_has_the_zero_vector() -> None:
    encoder = load("tfidf").fit(TEXTS)

    found = encoder.encode(["qwertzuiop", ""])

    assert found.shape == (2, encoder.dim)
    assert not found.any()


# LSA


@pytest.mark.parametrize(("dtype", "limit"), [("float64", FLOAT64), ("float32", FLOAT32)])
def test_lsa_equals_scikit_learn_up_to_the_signs_of_components(dtype: str, limit: float) -> None:
    theirs = make_pipeline(
        TfidfVectorizer(), TruncatedSVD(4, algorithm="arpack", random_state=0), Normalizer()
    ).fit(TEXTS)

    ours = load("lsa", dtype=dtype, components=4).fit(TEXTS).encode(TEXTS)

    expected = theirs.transform(TEXTS)
    signs = np.sign((ours * expected).sum(axis=0))
    assert relative_error(ours * signs, expected) <= limit
    assert relative_error(ours @ ours.T, expected @ expected.T) <= limit


def test_the_largest_entry_of_a_component_is_positive() -> None:
    encoder = load("lsa", components=4).fit(TEXTS)
    components = encoder.module.get_parameter("components").detach().numpy()

    assert (components[np.abs(components).argmax(axis=0), np.arange(4)] > 0).all()


def test_lsa_needs_more_texts_than_components() -> None:
    with pytest.raises(InputError, match=r"are too few for 100 components"):
        load("lsa").fit(TEXTS)


# SIFT


def test_descriptors_are_opencvs_strongest_keypoints() -> None:
    image = np.asarray(Image.open(IMAGES[1]).convert("L"))
    library: Any = cv2  # its type hints lack SIFT
    points, expected = library.SIFT_create(nfeatures=1000).detectAndCompute(image, None)
    plain = KeypointPreprocessor(KeypointPreprocess(root=False), inputs=("d", "m"))

    found = plain.descriptors(IMAGES[1])

    order = sorted(range(len(points)), key=lambda i: -points[i].response)
    np.testing.assert_array_equal(found, expected[order])


def test_root_sift_is_the_square_root_of_unit_sums() -> None:
    rows = np.random.default_rng(0).random((5, 128)).astype(np.float32) * 255

    found = root_sift(rows)

    np.testing.assert_allclose(found, np.sqrt(rows / np.abs(rows).sum(axis=1)[:, None]), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    assert np.isfinite(root_sift(np.zeros((1, 128), np.float32))).all()


def test_sift_gives_its_descriptors_and_their_mean() -> None:
    encoder = load("sift")

    tokens = encoder.encode(IMAGES, output="tokens")
    vectors = encoder.encode(IMAGES)

    assert all(0 < len(row) <= 1000 and row.shape[1] == 128 for row in tokens)
    means = np.stack([row.mean(axis=0) for row in tokens])
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    assert relative_error(vectors, expected) <= FLOAT64


def test_an_image_without_keypoints_is_refused() -> None:
    with pytest.raises(InputError, match="Item 1: The image has no keypoint"):
        load("sift").encode([IMAGES[0], np.zeros((64, 64), np.uint8)])


def test_large_images_are_shrunk_first() -> None:
    big = Image.open(IMAGES[1]).resize((1600, 1200))
    small = big.convert("L").resize((1024, 768), Image.Resampling.BOX)

    np.testing.assert_allclose(load("sift").encode(big), load("sift").encode(small), atol=1e-12)


def test_what_sift_is_has_nothing_to_fit() -> None:
    with pytest.raises(OptionError, match="needs no codebook"):
        load("sift").fit(IMAGES)


# Codebooks


def test_a_histogram_of_words_equals_opencvs() -> None:
    encoder = load("bovw", words=24).fit(IMAGES)
    words = encoder.module.get_parameter("words").detach().numpy()
    weights = encoder.module.get_parameter("weights").detach().numpy()
    matcher = cv2.BFMatcher(cv2.NORM_L2)

    for tokens, vector in zip(
        encoder.encode(IMAGES, output="tokens"), encoder.encode(IMAGES), strict=True
    ):
        matches = matcher.match(tokens.astype(np.float32), words.astype(np.float32))
        counts = np.bincount([match.trainIdx for match in matches], minlength=24) / len(tokens)
        expected = counts * weights
        assert relative_error(vector, expected / np.linalg.norm(expected)) <= FLOAT64


def test_rare_words_weigh_more() -> None:
    encoder = load("bovw", words=24).fit(IMAGES)
    words = encoder.module.get_parameter("words").detach().numpy()
    weights = encoder.module.get_parameter("weights").detach().numpy()

    with_word = sum(
        np.isin(np.arange(24), nearest(tokens, words)).astype(int)
        for tokens in encoder.encode(IMAGES, output="tokens")
    )
    np.testing.assert_allclose(weights, np.log((1 + 6) / (1 + with_word)) + 1, rtol=1e-12)


def test_vlad_sums_the_differences_to_the_nearest_word() -> None:
    encoder = load("sift-vlad", words=8).fit(IMAGES)
    words = encoder.module.get_parameter("words").detach().numpy()

    for tokens, vector in zip(
        encoder.encode(IMAGES, output="tokens"), encoder.encode(IMAGES), strict=True
    ):
        expected = np.zeros((8, 128))
        for token in tokens:
            index = ((words - token) ** 2).sum(axis=1).argmin()
            expected[index] += token - words[index]
        flat = np.sign(expected.ravel()) * np.sqrt(np.abs(expected.ravel()))
        assert relative_error(vector, flat / np.linalg.norm(flat)) <= 1e-9  # roots near zero


def test_k_means_finds_clusters_that_lie_apart() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((5, 8)) * 10
    points = np.concatenate([centre + 0.1 * rng.standard_normal((40, 8)) for centre in centres])

    found = k_means(points, 5, rng)

    order = nearest(centres, found)
    assert sorted(order) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(found[order], centres, atol=0.1)


def test_k_means_gives_each_of_equal_points_a_centre() -> None:
    found = k_means(np.ones((6, 3)), 4, np.random.default_rng(0))

    np.testing.assert_array_equal(found, np.ones((4, 3)))


def test_the_same_images_give_the_same_codebook() -> None:
    one, other = (load("bovw", words=8).fit(IMAGES).encode(IMAGES) for _ in range(2))

    np.testing.assert_array_equal(one, other)


def test_too_few_descriptors_are_refused() -> None:
    with pytest.raises(InputError, match=r"fewer than the codebook has words \(1000\)"):
        load("bovw").fit(IMAGES[:1])


# Fitting, saving, loading


FITTED: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "tfidf": ({}, TEXTS),
    "lsa": ({"components": 4}, TEXTS),
    "bovw": ({"words": 16}, IMAGES),
    "sift-vlad": ({"words": 4}, IMAGES),
}
fitted = pytest.mark.parametrize("name", FITTED)


@pytest.mark.parametrize("name", FITTED)
def test_an_unfitted_encoder_says_what_to_do(name: str, tmp_path: Path) -> None:
    encoder = load(name)

    for action in (
        lambda: encoder.encode(FITTED[name][1][0]),
        lambda: encoder.save(tmp_path / "x"),
    ):
        with pytest.raises(OptionError, match=r"has not been fitted.*encoder\.fit\(items\)"):
            action()
    assert not (tmp_path / "x").exists()


@fitted
def test_a_saved_encoder_is_loaded_by_its_folder(name: str, tmp_path: Path) -> None:
    config, items = FITTED[name]
    encoder = load(name, **config).fit(items)

    encoder.save(tmp_path / "fitted")
    again = zoo.load(str(tmp_path / "fitted"), dtype="float64")

    assert isinstance(again, Encoder)
    assert again.spec.name == name
    np.testing.assert_array_equal(again.encode(items), encoder.encode(items))
    again.save(tmp_path / "copy")
    assert (tmp_path / "copy/model.safetensors").read_bytes() == (
        tmp_path / "fitted/model.safetensors"
    ).read_bytes()


@fitted
def test_fitting_again_forgets_what_was_learnt_before(name: str) -> None:
    config, items = FITTED[name]

    twice = load(name, **config).fit([*items, *items[:2]]).fit(items)

    np.testing.assert_array_equal(
        twice.encode(items), load(name, **config).fit(items).encode(items)
    )


def test_a_pretrained_encoder_is_not_fitted() -> None:
    encoder = zoo.load("hog")
    assert isinstance(encoder, Encoder)

    with pytest.raises(OptionError, match="hog is not fitted: it comes as it is"):
        encoder.fit(IMAGES)
    with pytest.raises(OptionError, match="there is nothing to save"):
        encoder.save("x")


def test_a_bad_item_is_named_while_fitting() -> None:
    with pytest.raises(InputError, match="Item 1: A text must be a str"):
        load("tfidf").fit(["a text", 7])
    with pytest.raises(InputError, match=r"Item 1: There is no file 'no\.jpg'"):
        load("bovw").fit([IMAGES[0], "no.jpg"])


@pytest.mark.parametrize(
    ("file", "text", "match"),
    [
        ("zoo.json", '{"format": "zoo-fitted", "schema": 2}', "schema 2"),
        ("terms.json", '["a", "a"]', "has a term twice"),
        ("terms.json", "{}", "no list of terms"),
        ("model.safetensors", "nothing", "safetensors"),
    ],
)
def test_a_damaged_folder_is_refused(file: str, text: str, match: str, tmp_path: Path) -> None:
    load("tfidf").fit(TEXTS).save(tmp_path)
    (tmp_path / file).write_text(text)

    with pytest.raises(FormatError, match=match):
        zoo.load(str(tmp_path))


def test_a_folder_with_another_number_of_terms_is_refused(tmp_path: Path) -> None:
    load("tfidf").fit(TEXTS).save(tmp_path)
    terms = json.loads((tmp_path / "terms.json").read_text())
    (tmp_path / "terms.json").write_text(json.dumps([*terms, "one-more"]))

    with pytest.raises(FormatError, match="do not belong together"):
        zoo.load(str(tmp_path))


@pytest.mark.parametrize("name", ["tfidf", "lsa", "bovw"])
def test_a_fitted_encoder_is_exported_through_the_gate(name: str, tmp_path: Path) -> None:
    config, items = FITTED[name]
    load(name, dtype="float32", **config).fit(items).save(tmp_path / "fitted")
    (row,) = zoo.resolve(str(tmp_path / "fitted"))

    built = build_bundle(row, tmp_path / "bundle", profile=default_profile(row))

    assert built.report.passed
    opened = zoo.open(tmp_path / "bundle")
    loaded = zoo.load(str(tmp_path / "fitted"))
    assert isinstance(loaded, Encoder)
    assert relative_error(opened.encode(items), loaded.encode(items)) <= FLOAT32


def test_an_unfitted_encoder_is_not_exported(tmp_path: Path) -> None:
    for name in ("tfidf", "sift"):
        row = default_registry().row(name)
        with pytest.raises(OptionError, match="no graph"):
            build_bundle(row, tmp_path / "bundle", profile=default_profile(row))


def test_a_fitted_folder_is_a_model_for_the_command_line(tmp_path: Path) -> None:
    load("tfidf").fit(TEXTS).save(tmp_path / "fitted")

    code = main(["embed", str(tmp_path / "fitted"), "--text", TEXTS[0], "-o",
                 str(tmp_path / "out.npy")])  # fmt: skip

    assert code == 0
    assert np.load(tmp_path / "out.npy").shape[0] == 1
