"""What a row prepares, beside what its reference's processor prepares.

Photographs and sounds are those that the zoo brings along. Tokenizer files are on the Hub, so texts
are cut by vocabularies made here, of the kind that the row's files have, in both libraries.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import sentencepiece
import timm
import transformers
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer
from torchvision import transforms
from transformers import VJEPA2VideoProcessor

from tests import test_deberta, test_fitted, test_static, test_video
from tests.clip_reference import save_tokenizer
from tests.shown import PREPROCESSING, run
from tests.siglip_reference import TEXTS as SIGLIP_TEXTS, save_spiece
from tests.test_audio_preprocess import (
    RATE,
    SOUNDS,
    THEIR_FLOAT32,
    Wav2Vec2,
    Whisper,
    made,
)
from tests.test_text_preprocess import (
    NASTY,
    byte_pairs,
    cased_word_piece,
    sentence_piece,
    word_piece,
)
from zoo import samples
from zoo.loading import load_row
from zoo.preprocess import Sample
from zoo.preprocess.image import ImagePreprocessor
from zoo.preprocess.keypoints import KeypointPreprocessor
from zoo.preprocess.text import TextPreprocessor
from zoo.spec import (
    AudioPreprocess,
    ImagePreprocess,
    KeypointPreprocess,
    ModelSpec,
    TermPreprocess,
    TextPreprocess,
    VideoPreprocess,
    WordPreprocess,
)

ON_THE_HUB = "the tokenizer file is on the Hub, and no test makes one of its kind"
MADE = "made vocabulary"


class NotShownError(Exception):
    """There is nothing to hold this preprocessing against here; the words say why."""


def parity(row: ModelSpec) -> str:
    """Hold what a row prepares against a reference; return how.

    Raises:
        AssertionError: They differ.
        NotShownError: There is no reference here.
    """
    if isinstance(row.preprocess, TextPreprocess):  # a joint space's tests are of its pixels
        return _text(row, row.preprocess)
    cases = run(PREPROCESSING, row)
    if cases:
        return "; ".join(dict.fromkeys(cases))
    return _KINDS[type(row.preprocess)](row, row.preprocess)


def _image(row: ModelSpec, recipe: ImagePreprocess) -> str:
    own, timms = _torchvision(recipe), _timm(str(row.weights.repo))
    same = timms is not None
    for photo in samples.images():
        image = Image.open(photo).convert("RGB")
        (sample,) = ImagePreprocessor(recipe, name="pixels").prepare([photo])
        assert isinstance(sample, Sample)
        pixels = sample.arrays["pixels"]
        np.testing.assert_array_equal(pixels, own(image).numpy())
        same = same and np.array_equal(pixels, timms(image).numpy())
    if same:
        return "bit for bit with timm's transform of that checkpoint"
    return "bit for bit with torchvision's transforms by the row's numbers"


def _timm(repo: str) -> Any:
    """Return the transform that timm publishes with a checkpoint; None if it has none."""
    published: Any = repo.startswith("timm/") and timm.models.get_pretrained_cfg(
        repo[len("timm/") :]
    )
    if not published:
        return None
    data: Any = timm.data  # not typed
    return data.create_transform(**data.resolve_data_config({}, pretrained_cfg=published.to_dict()))


def _torchvision(recipe: ImagePreprocess) -> Any:
    filter_ = transforms.InterpolationMode(recipe.resample)
    squash = recipe.size if recipe.resize is None else recipe.resize
    steps: list[Any] = [
        transforms.Resize(squash, interpolation=filter_),
        transforms.CenterCrop(recipe.size),
    ]
    if recipe.channels == "grey":
        steps.insert(0, transforms.Grayscale())
    return transforms.Compose(
        [*steps, transforms.ToTensor(), transforms.Normalize(recipe.mean, recipe.std)]
    )


def _video(row: ModelSpec, recipe: VideoPreprocess) -> str:
    side = recipe.frame.size[0]
    frames = test_video.photos()
    shorter: Any = {"shortest_edge": recipe.frame.resize}
    theirs: Any = VJEPA2VideoProcessor(size=shorter, crop_size={"height": side, "width": side})
    expected = theirs(list(frames), return_tensors="pt")["pixel_values_videos"][0].numpy()
    steps = np.abs(test_video.preprocessor(row).pixels(frames) - expected) * 0.225 * 255
    assert steps.max() < 3  # torch's resize of bytes rounds otherwise than Pillow's
    assert steps.mean() < 0.5
    return (
        f"transformers' processor, {steps.mean():.2f} of 255 on average, {steps.max():.1f} at most"
    )


def _audio(row: ModelSpec, recipe: AudioPreprocess) -> str:
    ours = made(row)
    for sound in SOUNDS.values():
        if recipe.features == "log_mel":
            length = recipe.length or len(sound)
            padded = np.pad(sound[:length], (0, max(0, length - len(sound))))
            theirs = Whisper(feature_size=recipe.mels)._np_extract_fbank_features([padded], "cpu")
            found, _ = ours.features((sound, RATE))
            np.testing.assert_allclose(found, theirs[0], atol=THEIR_FLOAT32)
        elif len(sound) >= recipe.shortest:
            extractor = Wav2Vec2(do_normalize=recipe.normalize)
            theirs = extractor(sound, sampling_rate=RATE, return_tensors="np").input_values
            np.testing.assert_array_equal(ours.features((sound, RATE))[0], theirs[0])
    return "transformers' feature extractor" + (
        f" within {THEIR_FLOAT32:.0e}" if recipe.features == "log_mel" else ", bit for bit"
    )


def _text(row: ModelSpec, recipe: TextPreprocess) -> str:
    plain = replace(recipe, roles={}, default_role=None, prompts={})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if recipe.clean == "clip":
            return _open_clip_text(plain, folder)
        if "spiece.model" in recipe.tokenizer:
            path, texts = save_spiece(folder), SIGLIP_TEXTS
            reference: Any = transformers.SiglipTokenizer(str(path))
        elif "spm.model" in recipe.tokenizer:
            return _pieces(plain, folder)
        else:
            path, reference, texts = *_maker(recipe)(folder), NASTY
        theirs = reference(list(texts), truncation=True, max_length=recipe.max_length)["input_ids"]
        assert _ids(TextPreprocessor(plain, path), texts) == theirs
    return f"transformers' tokens of {len(texts)} texts, {MADE}"


def _maker(recipe: TextPreprocess) -> Callable[[Path], tuple[Path, Any]]:
    """Return what makes a vocabulary of the kind that a row's files have."""
    if "vocab.txt" in recipe.tokenizer:
        return word_piece if recipe.lower else cased_word_piece
    if "vocab.json" in recipe.tokenizer:
        return byte_pairs
    if recipe.pad_id == 1 and not recipe.ending and not recipe.pad_to_max:  # XLM-R's
        return sentence_piece
    raise NotShownError(ON_THE_HUB)


def _open_clip_text(recipe: TextPreprocess, folder: Path) -> str:
    import open_clip

    save_tokenizer(folder)
    ours = TextPreprocessor(recipe, folder / "tokenizer.json", inputs=("input_ids",))
    texts = samples.texts()
    found = ours.collate([one for one in ours.prepare(texts) if isinstance(one, Sample)])
    expected = open_clip.tokenizer.tokenize(texts).numpy()
    np.testing.assert_array_equal(found["input_ids"], expected)
    return f"open_clip's tokens of {len(texts)} texts, OpenAI's vocabulary from its package"


def _pieces(recipe: TextPreprocess, folder: Path) -> str:
    path = test_deberta.save_pieces(folder)
    library = sentencepiece.SentencePieceProcessor(model_file=str(path))
    special = test_deberta.SPECIAL
    texts = [text for text in NASTY if not any(one in text for one in special)]
    most = recipe.max_length - 2
    expected = [[1, *library.encode(text)[:most], 2] for text in texts]
    assert _ids(TextPreprocessor(recipe, path), texts) == expected
    return f"sentencepiece's pieces of {len(texts)} texts, {MADE}"


def _ids(ours: TextPreprocessor, texts: Any) -> list[list[int]]:
    found = [one for one in ours.prepare(texts) if isinstance(one, Sample)]
    return [one.arrays["input_ids"].tolist() for one in found]


def _words(row: ModelSpec, recipe: WordPreprocess) -> str:
    if row.weights.layout != "sentence-transformers":
        raise NotShownError(
            f"{row.weights.layout} takes words, not texts, so it has no way to cut them"
        )
    with tempfile.TemporaryDirectory() as name:
        model = test_static.saved_average(Path(name))
        encoder: Any = load_row(test_static.row_of(row.name, 13), weights=Path(name))
        theirs = [model[0].tokenizer.tokenize(text) for text in test_static.TEXTS]
        assert [encoder.preprocess([text])["input_ids"][0].tolist()
                for text in test_static.TEXTS] == theirs  # fmt: skip
    return f"sentence-transformers' words of {len(theirs)} texts, {MADE}"


def _terms(row: ModelSpec, recipe: TermPreprocess) -> str:
    texts = samples.texts()
    theirs = TfidfVectorizer().fit(texts).get_feature_names_out().tolist()
    ours = test_fitted.load("tfidf").fit(texts)
    assert list(getattr(ours.preprocessor, "terms", ())) == theirs
    return f"scikit-learn's {len(theirs)} terms of {len(texts)} texts"


def _keypoints(row: ModelSpec, recipe: KeypointPreprocess) -> str:
    library: Any = cv2  # its type hints lack SIFT
    plain = KeypointPreprocessor(replace(recipe, root=False), inputs=("d", "m"))
    for photo in samples.images():
        image = np.asarray(Image.open(photo).convert("L"))
        points, rows = library.SIFT_create(nfeatures=recipe.most).detectAndCompute(image, None)
        order = sorted(range(len(points)), key=lambda i: -points[i].response)
        np.testing.assert_array_equal(plain.descriptors(photo), rows[order])
    return "OpenCV's descriptors before the root, bit for bit"


_KINDS: Mapping[type, Callable[[ModelSpec, Any], str]] = {
    ImagePreprocess: _image,
    VideoPreprocess: _video,
    AudioPreprocess: _audio,
    WordPreprocess: _words,
    TermPreprocess: _terms,
    KeypointPreprocess: _keypoints,
}
