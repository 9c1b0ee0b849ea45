"""Both towers of CLIP against open_clip and transformers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from tests import clip_reference
from tests.clip_reference import (
    open_clip_reference,
    save_open_clip,
    save_tokenizer,
    text_ids,
    tiny_pair,
    transformers_config,
    transformers_reference,
)
from tests.reference import FLOAT64, images, make_live, relative_error, tolerance
from zoo.encoder import Encoder
from zoo.errors import KeyMapError
from zoo_multimodal.families.towers import Pair

VOCAB = 120
both_precisions = pytest.mark.parametrize("dtype", ["float64", "float32"])
both_activations = pytest.mark.parametrize("quick_gelu", [True, False], ids=["quick", "exact"])


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder)
    return folder / "tokenizer.json"


@pytest.fixture
def folder(tmp_path: Path, tokenizer: Path) -> Path:
    (tmp_path / "tokenizer.json").symlink_to(tokenizer)
    return tmp_path


def open_clip_tokens(reference: nn.Module, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return normalised class token and patches (B, 1 + N, D), and words (B, 77, D)."""
    visual = reference.visual
    patches = visual.ln_post(visual.transformer(visual._embeds(pixels)))
    words = reference.token_embedding(ids) + reference.positional_embedding
    words = reference.transformer(words, attn_mask=reference.attn_mask)
    return patches, reference.ln_final(words)


@both_activations
@both_precisions
@pytest.mark.parametrize("normalize", [False, True], ids=["plain", "unit"])
@torch.no_grad()
def test_towers_equal_open_clip(
    quick_gelu: bool, dtype: str, normalize: bool, folder: Path
) -> None:
    pair = tiny_pair(quick_gelu=quick_gelu, vocab=VOCAB)
    reference = open_clip_reference(pair)
    save_open_clip(reference, folder)
    kind = getattr(torch, dtype)
    pixels, ids = images(3, 16, 16, dtype=kind), text_ids(VOCAB)

    image, text = clip_reference.load(pair, folder, dtype=dtype, normalize=normalize)
    ours, theirs = image({"pixels": pixels}), text({"input_ids": ids})

    reference.to(kind)
    bound = tolerance(kind)
    assert relative_error(ours.pooled, reference.encode_image(pixels, normalize=normalize)) <= bound
    assert relative_error(theirs.pooled, reference.encode_text(ids, normalize=normalize)) <= bound
    patches, words = open_clip_tokens(reference, pixels, ids)
    assert relative_error(ours.prefix, patches[:, :1]) <= bound
    assert relative_error(ours.tokens, patches[:, 1:]) <= bound
    assert relative_error(theirs.tokens, words) <= bound


@both_activations
@both_precisions
@torch.no_grad()
def test_towers_equal_transformers(quick_gelu: bool, dtype: str, folder: Path) -> None:
    pair = tiny_pair(quick_gelu=quick_gelu, vocab=VOCAB)
    reference = transformers_reference(pair)
    reference.save_pretrained(folder)
    kind = getattr(torch, dtype)
    pixels, ids = images(3, 16, 16, dtype=kind), text_ids(VOCAB)

    image, text = clip_reference.load(pair, folder, dtype=dtype)
    ours, theirs = image({"pixels": pixels}), text({"input_ids": ids})

    expected = reference.to(kind)(input_ids=ids, pixel_values=pixels)
    bound = tolerance(kind)
    patches = reference.vision_model.post_layernorm(
        expected.vision_model_output.last_hidden_state
    )  # transformers normalises the class token alone
    words = expected.text_model_output.last_hidden_state
    assert relative_error(F.normalize(ours.pooled, dim=-1), expected.image_embeds) <= bound
    assert relative_error(F.normalize(theirs.pooled, dim=-1), expected.text_embeds) <= bound
    assert relative_error(ours.tokens, patches[:, 1:]) <= bound
    assert relative_error(theirs.tokens, words) <= bound


@torch.no_grad()
def test_both_layouts_of_one_checkpoint_give_the_same_vectors(folder: Path) -> None:
    pair = tiny_pair(quick_gelu=True, vocab=VOCAB)
    reference = open_clip_reference(pair)
    save_open_clip(reference, folder)
    batch = {"pixels": images(2, 16, 16)}
    words = {"input_ids": text_ids(VOCAB)}
    first = [tower(batch).pooled for tower, batch in zip(clip_reference.load(pair, folder),
                                                         (batch, words), strict=True)]  # fmt: skip

    # OpenAI's own state dict: the same names, and three integers beside them
    state = {**reference.state_dict(), "input_resolution": torch.tensor(16),
             "context_length": torch.tensor(77), "vocab_size": torch.tensor(VOCAB)}  # fmt: skip
    (folder / "open_clip_model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    second = [tower(batch).pooled for tower, batch in zip(clip_reference.load(pair, folder),
                                                          (batch, words), strict=True)]  # fmt: skip

    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@torch.no_grad()
def test_a_text_tower_under_its_own_prefix_loads(folder: Path) -> None:
    pair = tiny_pair(quick_gelu=False, vocab=VOCAB)
    reference = open_clip_reference(pair)
    own = ("transformer.", "token_embedding.", "positional_embedding", "ln_final.",
           "text_projection")  # fmt: skip
    state = {(f"text.{name}" if name.startswith(own) else name): tensor.clone()
             for name, tensor in reference.state_dict().items()}  # fmt: skip
    save_file(state, folder / "open_clip_model.safetensors")
    ids, pixels = text_ids(VOCAB), images(1, 16, 16)

    image, text = clip_reference.load(pair, folder)

    reference.double()
    assert relative_error(text({"input_ids": ids}).pooled, reference.encode_text(ids)) <= FLOAT64
    assert (
        relative_error(image({"pixels": pixels}).pooled, reference.encode_image(pixels)) <= FLOAT64
    )


@torch.no_grad()
def test_another_image_size_equals_open_clips_resized_positions(folder: Path) -> None:
    pair = tiny_pair(quick_gelu=False, vocab=VOCAB)
    reference = open_clip_reference(pair)
    save_open_clip(reference, folder)
    image, _ = clip_reference.load(pair, folder)
    for size in (12, 28):
        larger = Pair(image=replace(pair.image, image_size=(size, size)), text=pair.text)
        resized = open_clip_reference(larger)
        state = {name: tensor.double() for name, tensor in reference.state_dict().items()}
        clip_reference.open_clip.model.resize_pos_embed(state, resized)
        resized.double().load_state_dict(state)
        pixels = images(1, size, size)

        ours = image({"pixels": pixels}).pooled

        assert relative_error(ours, resized.encode_image(pixels)) <= FLOAT64


def towers_of(pair: Pair, folder: Path) -> tuple[Encoder, Encoder]:
    save_open_clip(open_clip_reference(pair), folder)
    return clip_reference.load(pair, folder)


@torch.no_grad()
def test_the_vector_is_taken_where_the_text_first_ends(folder: Path) -> None:
    pair = tiny_pair(quick_gelu=True, vocab=VOCAB)
    _, text = towers_of(pair, folder)
    end = VOCAB - 1
    padded = torch.zeros(1, 77, dtype=torch.int64)
    padded[0, :5] = torch.tensor([VOCAB - 2, 7, 8, 9, end])
    repeated = padded.clone()
    repeated[0, 5:] = end  # transformers pads so
    longer = padded.clone()
    longer[0, 5] = 30  # what follows the end is never seen
    longer[0, 6] = end

    pooled = text({"input_ids": torch.cat((padded, repeated, longer))}).pooled
    short = text({"input_ids": padded[:, :5]}).pooled

    for other in (pooled[1:2], pooled[2:3], short):
        assert relative_error(other, pooled[:1]) <= FLOAT64
    tokens = text({"input_ids": padded})
    assert tokens.mask is not None
    assert tokens.mask.sum() == 5


@torch.no_grad()
def test_an_end_that_is_not_the_highest_id_is_found(folder: Path) -> None:
    pair = tiny_pair(quick_gelu=True, vocab=VOCAB)
    config = transformers_config(pair)
    config.text_config.eos_token_id = 50
    reference = transformers_reference(pair, config)
    reference.save_pretrained(folder)
    ids = text_ids(VOCAB)
    ids[:, 9] = 50

    _, text = clip_reference.load(Pair(image=pair.image, text=replace(pair.text, end=50)), folder)
    ours = text({"input_ids": ids}).pooled

    theirs = reference.double().get_text_features(input_ids=ids).pooler_output
    assert relative_error(ours, theirs) <= FLOAT64


@torch.no_grad()
def test_the_wrong_gelu_would_be_seen(folder: Path) -> None:
    quick, exact = (tiny_pair(quick_gelu=quick, vocab=VOCAB) for quick in (True, False))
    reference = open_clip_reference(quick)
    save_open_clip(reference, folder)
    pixels, ids = images(2, 16, 16), text_ids(VOCAB)

    image, text = clip_reference.load(exact, folder)

    reference.double()
    assert relative_error(image({"pixels": pixels}).pooled, reference.encode_image(pixels)) > 1e-3
    assert relative_error(text({"input_ids": ids}).pooled, reference.encode_text(ids)) > 1e-3


def test_a_missing_tensor_names_the_tower_that_lacks_it(folder: Path) -> None:
    pair = tiny_pair(quick_gelu=True, vocab=VOCAB)
    save_open_clip(open_clip_reference(pair), folder)
    path = folder / "open_clip_model.safetensors"
    state = load_file(path)
    del state["visual.transformer.resblocks.1.mlp.c_fc.weight"]
    save_file(state, path)

    with pytest.raises(KeyMapError, match=r"'blocks\.1\.mlp\.fc1\.weight'"):
        clip_reference.load(pair, folder)


def test_the_patch_projection_has_no_bias() -> None:
    for row in zoo.list(family="*clip", modality="image"):
        assert not row.config.patch_bias
        with torch.device("meta"):
            assert "patches.bias" not in row.config.build().state_dict()


def test_transformers_reference_is_live() -> None:
    model = make_live(transformers.CLIPModel(transformers_config(tiny_pair(quick_gelu=True))))

    assert all(tensor.abs().sum() > 0 for tensor in model.parameters())
