"""Joint spaces: scores, classification without training, constants of the checkpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import zoo
from tests.clip_reference import (
    open_clip_reference,
    save_open_clip,
    save_tokenizer,
    tiny_pair,
)
from tests.reference import relative_error
from tests.test_clip_checkpoint import open_clip_config
from zoo.errors import InputError, KeyMapError, OptionError
from zoo.joint import RANDOM_SCALE, JointEncoder, Label, space_constants
from zoo.spec import ModelSpec, Space

LABELS = ["cat", "dog", "tree", "a very old bicycle"]
TEMPLATES = ["a photo of a {}.", "a drawing of the {}!", "{}"]
FILE = "open_clip_model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    save_open_clip(reference(), folder)
    save_tokenizer(folder)
    (folder / "open_clip_config.json").write_text(json.dumps(open_clip_config()))
    return folder


@pytest.fixture(scope="module")
def joint(folder: Path) -> JointEncoder:
    loaded = zoo.load(str(folder))
    assert isinstance(loaded, JointEncoder)
    return loaded


def reference() -> nn.Module:
    return open_clip_reference(tiny_pair(quick_gelu=True))


def photos(number: int) -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [
        Image.fromarray(generator.integers(0, 256, (24, 30, 3)).astype(np.uint8))
        for _ in range(number)
    ]


def zero_shot(templates: list[str], pictures: list[Image.Image]) -> np.ndarray:
    """Return open_clip's probabilities, (pictures, labels)."""
    model = reference()
    config = open_clip_config()["preprocess_cfg"]
    transform = open_clip.transform.image_transform(
        16, is_train=False, mean=config["mean"], std=config["std"], interpolation="bicubic"
    )
    classifier = open_clip.build_zero_shot_classifier(model, open_clip.tokenize, LABELS, templates)
    with torch.no_grad():
        features = model.encode_image(torch.stack(list(map(transform, pictures))), normalize=True)
        logits = model.logit_scale.exp() * features @ classifier
    result: np.ndarray = logits.softmax(dim=-1).numpy()
    return result


def by_label(ranked: list[Label]) -> list[float]:
    """Return the scores in the order of LABELS."""
    scores = {label.name: label.score for label in ranked}
    return [scores[name] for name in LABELS]


@pytest.mark.parametrize("templates", [TEMPLATES, TEMPLATES[:1]], ids=["several", "one"])
def test_classify_equals_open_clips_zero_shot_classifier(
    joint: JointEncoder, templates: list[str]
) -> None:
    pictures = photos(3)

    ranked = joint.classify(pictures, LABELS, template=templates)

    ours = np.array([by_label(one) for one in ranked])
    assert np.abs(ours - zero_shot(templates, pictures)).max() <= 1e-6
    for one in ranked:
        assert [label.score for label in one] == sorted(by_label(one), reverse=True)


def test_the_spaces_own_template_is_the_default(joint: JointEncoder) -> None:
    [picture] = photos(1)

    ranked = joint.classify(picture, LABELS)

    assert joint.space.template == TEMPLATES[0]
    assert by_label(ranked) == by_label(joint.classify(picture, LABELS, template=TEMPLATES[0]))
    assert sum(label.score for label in ranked) == pytest.approx(1)


def test_top_k_keeps_the_best(joint: JointEncoder) -> None:
    [picture] = photos(1)

    assert joint.classify(picture, LABELS, top_k=2) == joint.classify(picture, LABELS)[:2]


def test_no_images_give_no_answers(joint: JointEncoder) -> None:
    assert joint.classify([], LABELS) == []


def test_labels_may_be_anything_that_gives_names(joint: JointEncoder) -> None:
    wanted = joint.classify(photos(1), LABELS)

    assert joint.classify(photos(1), iter(LABELS)) == wanted
    assert joint.classify(photos(1), np.array(LABELS)) == wanted


@pytest.mark.parametrize(
    ("labels", "options", "reason"),
    [
        ([], {}, "labels must be a list of at least one str"),
        ("cat", {}, "labels must be a list of at least one str"),
        ([1], {}, "labels must be a list of at least one str"),
        (LABELS, {"template": "a photo"}, "has no {}"),
        (LABELS, {"template": ""}, "has no {}"),
        (LABELS, {"template": []}, "template must be a list"),
        (LABELS, {"template": 3}, "template must be a list"),
        (LABELS, {"top_k": 0}, "top_k=0"),
        (LABELS, {"top_k": 1.5}, "top_k=1.5"),
    ],
    ids=str,
)
def test_a_senseless_question_is_an_error_that_says_why(
    joint: JointEncoder, labels: list[str], options: dict[str, object], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        joint.classify(photos(1), labels, **options)


def test_logits_are_scaled_cosines_of_vectors_of_any_length(joint: JointEncoder) -> None:
    one, other = joint.image.encode(photos(2)), joint.text.encode(["cat", "dog", "tree"])

    logits = joint.logits(one * 7, other)

    model = reference()
    cosines = nn.functional.cosine_similarity(
        torch.from_numpy(one)[:, None], torch.from_numpy(other)[None], dim=-1
    )
    assert relative_error(logits, model.logit_scale.detach().exp() * cosines) <= 2e-6


def test_each_tower_is_an_encoder_and_the_space_is_none(joint: JointEncoder) -> None:
    assert {tower.spec.modality for tower in joint} == {"image", "text"}
    assert joint.image.dim == joint.text.dim
    with pytest.raises(OptionError, match=r"\.image\.encode.*\.text\.encode"):
        joint.encode(["a cat"])
    with pytest.raises(OptionError, match="no audio tower"):
        _ = joint.audio


def with_space(folder: Path, changes: Mapping[str, object]) -> list[ModelSpec]:
    return [replace(row, space=replace(row.space, **changes)) for row in zoo.resolve(str(folder))]


def test_a_numeric_scale_is_the_factor_itself(folder: Path) -> None:
    rows = with_space(folder, {"scale": 20.0, "bias": -3.0})

    assert space_constants(rows) == (20.0, -3.0)
    assert space_constants(rows, "random") == (20.0, -3.0)


def test_a_named_scale_is_the_exponential_of_the_checkpoints_number(tmp_path: Path) -> None:
    pair = tiny_pair(quick_gelu=True)
    model = open_clip_reference(pair)
    state = {**model.state_dict(), "logit_scale": torch.tensor([4.5]),
             "logit_bias": torch.tensor(-9.25)}  # fmt: skip
    save_file(state, tmp_path / FILE)
    (tmp_path / "open_clip_config.json").write_text(json.dumps(open_clip_config()))

    scale, bias = space_constants(with_space(tmp_path, {"bias": "logit_bias"}))

    assert scale == pytest.approx(math.exp(4.5))
    assert bias == -9.25


def test_random_towers_have_the_scale_of_clip_before_training() -> None:
    rows = zoo.resolve("clip-b32")

    assert space_constants(rows, "random") == (RANDOM_SCALE, 0.0)
    assert pytest.approx(1 / 0.07) == RANDOM_SCALE


def test_a_checkpoint_without_the_constant_is_an_error_that_names_it(
    folder: Path, tmp_path: Path
) -> None:
    state = load_file(folder / FILE)
    del state["logit_scale"]
    save_file(state, tmp_path / FILE)
    (tmp_path / "open_clip_config.json").write_text(json.dumps(open_clip_config()))

    with pytest.raises(KeyMapError, match="'logit_scale'"):
        space_constants(zoo.resolve(str(tmp_path)))


def test_a_sigmoid_space_scores_each_label_by_itself(joint: JointEncoder) -> None:
    space = Space(name="sigmoid", towers=joint.space.towers, activation="sigmoid")
    other = JointEncoder(space, joint.towers, scale=10.0, bias=-2.0)
    pictures = photos(1)

    [ranked] = other.classify(pictures, LABELS, template="{}")

    logits = other.logits(joint.image.encode(pictures), joint.text.encode(LABELS))
    expected = torch.from_numpy(logits).double().sigmoid()
    assert np.abs(np.array(by_label(ranked)) - expected[0].numpy()).max() <= 1e-6


def test_a_space_loads_with_random_weights(folder: Path) -> None:
    joint = zoo.load(str(folder), weights="random")

    assert isinstance(joint, JointEncoder)
    assert joint.scale == RANDOM_SCALE
    assert len(joint.classify(photos(2), LABELS)) == 2
