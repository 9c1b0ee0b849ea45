"""Whatever a stranger's configuration holds, it is a row or one of our errors; no plugin breaks."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import transformers

from zoo.errors import WeightsError
from zoo.registry import default_registry
from zoo.spec import ModelSpec

STRANGE: tuple[Any, ...] = (
    None, True, -1, 0.5, 10**18, math.nan, "", "x", [], [[]], [None], {}, {"a": []},
)  # fmt: skip
SIDE = {"height": 224, "width": 224}
PIXELS = {"image_processor_type": "ViTImageProcessor", "do_resize": True, "size": SIDE,
          "resample": 2, "do_center_crop": True, "crop_size": SIDE, "image_mean": [0.5] * 3,
          "image_std": [0.5] * 3, "rescale_factor": 1 / 255}  # fmt: skip
MODULES = [
    {"type": f"sentence_transformers.models.{kind}", "path": folder}
    for kind, folder in (("Transformer", ""), ("Pooling", "1"), ("Dense", "2"), ("Normalize", "3"))
]
SENTENCES = {
    "modules.json": MODULES,
    "1/config.json": {"pooling_mode_mean_tokens": True},
    "2/config.json": {"in_features": 768, "out_features": 8, "bias": True},
    "2/model.safetensors": {},
    "sentence_bert_config.json": {"max_seq_length": 128, "do_lower_case": False},
    "config_sentence_transformers.json": {
        "prompts": {"query": "?"},
        "default_prompt_name": "query",
    },
    "tokenizer_config.json": {"model_max_length": 512, "do_lower_case": True},
}
COLBERT = {"artifact.metadata": {"dim": 96, "query_maxlen": 32, "mask_punctuation": True}}
PYLATE = {
    "modules.json": [MODULES[0], {"type": "pylate.models.Dense.Dense", "path": "2"}],
    "2/config.json": {"in_features": 768, "out_features": 8, "bias": False},
    "2/model.safetensors": {},
    "config_sentence_transformers.json": {
        "model_type": "ColBERT", "query_prefix": "[Q] ", "document_prefix": "[D] ",
        "query_length": 32, "document_length": 180, "attend_to_expansion_tokens": False,
        "skiplist_words": ["!", "."], "do_query_expansion": True,
    },
}  # fmt: skip
TIMM = {
    "architecture": "vit_base_patch16_224", "global_pool": "token", "model_args": {"img_size": 224},
    "pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.9, "mean": [0.5] * 3},
}  # fmt: skip
IMAGES = ("ViTConfig", "Dinov2Config", "DINOv3ViTConfig", "ResNetConfig", "SwinConfig",
          "DINOv3ConvNextConfig")  # fmt: skip
TEXTS = ("RobertaConfig", "DistilBertConfig", "ModernBertConfig", "XLNetConfig", "MistralConfig")


class Files:
    """A repository that holds nothing but small files."""

    source = "./stranger"
    revision = None

    def __init__(self, files: Mapping[str, Any]) -> None:
        self._files = files

    def names(self) -> frozenset[str]:
        return frozenset(self._files)

    def json(self, name: str) -> Any:
        return self._files.get(name)

    def path(self, name: str) -> Path:
        raise AssertionError("no file is needed to know a repository")

    def header(self, name: str) -> Mapping[str, tuple[int, ...]]:
        raise AssertionError("no weights are needed to know a repository")


def recognise(files: Mapping[str, Any]) -> tuple[ModelSpec, ...]:
    for plugin in default_registry().plugins:
        found = plugin.checkpoint(Files(files))
        if found:
            return found
    return ()


def config(name: str, **changes: Any) -> dict[str, Any]:
    value = json.loads(getattr(transformers, name)(**changes).to_json_string(use_diff=False))
    assert isinstance(value, dict)
    return value


def repositories() -> Iterator[tuple[str, dict[str, Any]]]:
    text: dict[str, Any] = {"model.safetensors": {}, "tokenizer.json": {}}
    image = {"model.safetensors": {}, "preprocessor_config.json": PIXELS}
    sound = {"model.safetensors": {}, "preprocessor_config.json": {"sampling_rate": 16_000}}
    bert = config("BertConfig")
    yield "sentences", {"config.json": bert, **SENTENCES, **text}
    yield "colbert", {"config.json": {**bert, "architectures": ["HF_ColBERT"]}, **COLBERT, **text}
    yield "pylate", {"config.json": bert, **PYLATE, **text}
    yield "timm", {"config.json": TIMM, "model.safetensors": {}}
    for name in TEXTS:
        yield name, {"config.json": config(name), **text}
    for name in IMAGES:
        yield name, {"config.json": config(name), **image}
    for name in ("Wav2Vec2Config", "Data2VecAudioConfig", "WhisperConfig"):
        yield name, {"config.json": config(name), **sound}
    for name in ("CLIPConfig", "SiglipConfig"):
        yield name, {"config.json": config(name), **image, **text}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each part of a JSON value; of a list, to the first two."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if (
        isinstance(value, list)
    ) else ()  # fmt: skip
    for key, part in inner:
        yield from places(part, (*path, key))


def changed(value: Any, path: tuple[Any, ...], part: Any) -> Any:
    if not path:
        return part
    value = copy.copy(value)
    value[path[0]] = changed(value[path[0]], path[1:], part)
    return value


@pytest.mark.parametrize("files", [pytest.param(files, id=name) for name, files in repositories()])
def test_no_configuration_breaks_a_plugin(files: dict[str, Any]) -> None:
    assert recognise(files), "it is known as it stands"

    for name, value in files.items():
        for path in places(value):
            for part in STRANGE:
                try:
                    rows = recognise({**files, name: changed(value, path, part)})
                except WeightsError:
                    continue
                assert all(isinstance(row, ModelSpec) for row in rows)
