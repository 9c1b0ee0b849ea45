"""Encoders of sounds and clips, and those without a network, against their libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from tests import audio_reference, test_audio_parity, test_fitted, test_hog, test_video
from tests.comparisons.registry import NoReferenceError, compares
from tests.reference import images, relative_error
from zoo import samples
from zoo.spec import ModelSpec
from zoo.testing.shrink import tiny


@compares("transformers", "wav2vec2", "hubert", "data2vec-audio", "mms", "whisper")
def _sounds(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    row = tiny(row)
    model = audio_reference.reference(row, dtype=dtype)
    batch = test_audio_parity.batch_of(row, dtype)
    ours = audio_reference.load_saved(row, model, folder, dtype=dtype)(batch)
    return relative_error(ours.tokens, test_audio_parity.theirs(model, batch))


@compares("transformers", "vjepa2")
def _clips(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    theirs, ours = test_video.pair(tiny(row), folder, dtype)
    batch = test_video.clip(6, 24, dtype)
    return relative_error(ours(batch).tokens, theirs(batch, skip_predictor=True).last_hidden_state)


@compares("scikit-image", "hog")
def _gradients(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    config: Any = row.config
    height, width = config.size
    batch = images(3, height, width, dtype)[:, :1]
    theirs = np.stack([test_hog.expected(image[0].numpy(), config) for image in batch])
    return relative_error(config.build()(batch).pooled, theirs)


@compares("scikit-learn", "tfidf")
def _terms(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    texts = samples.texts()
    ours = test_fitted.load(row.name, dtype=str(dtype).removeprefix("torch.")).fit(texts)
    theirs = TfidfVectorizer().fit(texts)
    return relative_error(ours.encode(texts), theirs.transform(texts).toarray())


@compares("scikit-learn", "lsa")
def _topics(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    texts, name = samples.texts(), str(dtype).removeprefix("torch.")
    exact = TruncatedSVD(4, algorithm="arpack", random_state=0)
    expected = make_pipeline(TfidfVectorizer(), exact, Normalizer()).fit_transform(texts)
    ours = test_fitted.load(row.name, dtype=name, components=4).fit(texts).encode(texts)
    signs = np.sign((ours * expected).sum(axis=0))  # each component may point either way
    return relative_error(ours * signs, expected)


@compares("opencv-python-headless", "sift", "bovw")
def _keypoints(row: ModelSpec, folder: Path, dtype: torch.dtype) -> float:
    config: Any = row.config
    name = str(dtype).removeprefix("torch.")
    photos = samples.images()
    if config.pooling == "vlad":
        raise NoReferenceError(
            "no library that is installed sums VLAD; a test holds it against NumPy's sum"
        )
    if config.pooling == "mean":
        vectors = test_fitted.load(row.name, dtype=name).encode(photos)
        return max(
            relative_error(vector, _mean_of_roots(photo))
            for photo, vector in zip(photos, vectors, strict=True)
        )
    encoder = test_fitted.load(row.name, dtype=name, words=24).fit(photos)
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    words, weights = (
        encoder.module.get_parameter(part).detach().numpy() for part in ("words", "weights")
    )
    worst = 0.0
    tokens = encoder.encode(photos, output="tokens")
    for some, vector in zip(tokens, encoder.encode(photos), strict=True):
        matches = matcher.match(some.astype(np.float32), words.astype(np.float32))
        counts = np.bincount([match.trainIdx for match in matches], minlength=24)
        expected = counts.astype(np.float64) * weights
        worst = max(worst, relative_error(vector, expected / np.linalg.norm(expected)))
    return worst


def _mean_of_roots(photo: Path) -> Any:
    """Return the direction of the mean of OpenCV's descriptors, as RootSIFT has them."""
    library: Any = cv2  # its type hints lack SIFT
    image = np.asarray(Image.open(photo).convert("L"))
    _, found = library.SIFT_create(nfeatures=1000).detectAndCompute(image, None)
    roots = np.sqrt(found / np.abs(found).sum(axis=1, keepdims=True))
    mean = roots.astype(np.float64).mean(axis=0)
    return mean / np.linalg.norm(mean)
