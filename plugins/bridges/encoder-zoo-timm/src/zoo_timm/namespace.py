"""`timm:NAME`: a row for any name that timm knows. timm is imported when a name is asked for."""

from __future__ import annotations

import difflib
import fnmatch
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from zoo.errors import PluginError, UnknownModelError, UnsupportedCheckpointError
from zoo.fields import Fields
from zoo.spec import BATCH, Family, ImagePreprocess, ModelSpec, OutputName, TensorSpec, WeightsSpec
from zoo.weights import open_repo
from zoo_timm.config import TimmConfig
from zoo_vision.processing import from_timm

FAMILY = Family(
    name="timm",
    title="PyTorch Image Models",
    authors="Wightman, Ross",
    url="https://github.com/huggingface/pytorch-image-models",
    year=2019,
    objective="stated by timm's name of the checkpoint",
    license="unknown",
    modality="image",
)
# What timm itself writes before the name of a repository or a folder that holds a config.json.
REPOSITORY, FOLDER = "hf-hub:", "local-dir:"
FILES = ("model.safetensors", "pytorch_model.bin")


class Timm:
    """The names of timm."""

    prefix = "timm"
    summary = "every model of timm, by its name there"

    def resolve(self, rest: str) -> tuple[ModelSpec, ...]:
        """Return the row of `resnet18`, `resnet18.a1_in1k`, `hf-hub:org/repo` or `local-dir:PATH`.

        Raises:
            UnknownModelError: timm has no such model.
            UnsupportedCheckpointError: Its preprocessing does something that the zoo does not, or
                it gives no features.
            WeightsError: The configuration of a repository cannot be fetched or read.
        """
        timm = _timm()
        if rest.startswith((REPOSITORY, FOLDER)):
            return (_saved(timm, rest),)
        name, _, tag = rest.partition(".")
        if not timm.is_model(name):
            raise UnknownModelError(f"timm has no model {name!r}.{_near(name, timm.list_models())}")
        tags = [one.partition(".")[2] for one in timm.list_pretrained(f"{name}.*")]
        facts = timm.get_pretrained_cfg(name)
        if tag:
            if tag not in tags:
                raise UnknownModelError(
                    f"timm has no weights {rest!r}. {name} has {', '.join(tags) or 'none'}."
                )
            facts = timm.get_pretrained_cfg(rest)
        recipe = from_timm(Fields(_asked(facts), f"timm's configuration of {rest}"))
        return (
            _row(
                rest,
                TimmConfig(name=rest, dim=0),
                recipe,
                weights=_weights(facts),
                license=facts.license,
                source=f"{FAMILY.url}/tree/v{timm.__version__}",
            ),
        )

    def search(self, pattern: str) -> list[str]:
        """Return the names, without `timm:`, that match a shell pattern."""
        timm = _timm()
        names = {*timm.list_models(), *timm.list_pretrained()}
        return sorted(name for name in names if fnmatch.fnmatchcase(name, pattern))


def _timm() -> ModuleType:
    try:
        import timm
    except Exception as error:  # torchvision, which it imports, may not fit torch
        raise PluginError(
            f"timm cannot be imported: {type(error).__name__}: {error}. "
            "Run: python -m pip install -U timm torchvision"
        ) from error
    return timm


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=3)
    return f" Did you mean {' or '.join(f'timm:{name}' for name in near)}?" if near else ""


def _asked(facts: Any) -> dict[str, Any]:  # noqa: ANN401  timm's PretrainedCfg
    """Return what timm says of the input, as its config.json would."""
    names = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")
    return {name: getattr(facts, name) for name in names}


def _weights(facts: Any) -> WeightsSpec:  # noqa: ANN401  as above
    if not facts.hf_hub_id:
        elsewhere = f", only at {facts.url}" if facts.url else ""
        return WeightsSpec(
            source="none", files=(), reason=f"timm publishes none on the Hub{elsewhere}"
        )
    own = (facts.hf_hub_filename,) if facts.hf_hub_filename else ()
    return WeightsSpec(source=f"hf:{facts.hf_hub_id}", files=(*own, *FILES), layout="timm")


def _saved(timm: ModuleType, rest: str) -> ModelSpec:
    """Return the row of what timm's `push_to_hf_hub` or `save_for_hf` wrote."""
    local = rest.startswith(FOLDER)
    place = rest.removeprefix(FOLDER if local else REPOSITORY)
    files = open_repo(str(Path(place).expanduser()) if local else f"hf:{place}")
    file = f"the config.json of {rest}"
    stored = files.json("config.json")
    if stored is None:
        raise UnsupportedCheckpointError(f"{rest} has no config.json, which timm writes.")
    fields = Fields(stored, file)
    name = fields.text("architecture")
    if not timm.is_model(name):
        raise UnknownModelError(f"{file} names {name!r}, which timm {timm.__version__} has not.")
    fields.inner("model_args")  # an object, if it is there
    facts = fields.inner("pretrained_cfg") if "pretrained_cfg" in fields else fields
    return _row(
        f"{FOLDER}{Path(place).name}" if local else rest,  # a bundle must not say the folder
        TimmConfig(name=name, dim=0, arguments=fields.get("model_args") or {}),
        from_timm(facts),
        weights=WeightsSpec(
            source=files.source, files=FILES, revision=files.revision, layout="timm"
        ),
        license=facts.text("license", "unknown"),
        source="" if local else f"https://huggingface.co/{place.partition('@')[0]}",
    )


def _row(
    rest: str,
    config: TimmConfig,
    recipe: ImagePreprocess,
    *,
    weights: WeightsSpec,
    license: str | None,
    source: str,
) -> ModelSpec:
    """Return a row; what only the network tells is asked of one that has no memory."""
    import torch

    from zoo.nn.meta import on_meta
    from zoo_timm.net import TimmNet

    height, width = recipe.size
    try:
        with on_meta():
            module = TimmNet(config).eval()
        with torch.inference_mode():
            encoded = module(torch.zeros(1, 3, height, width, device="meta"))
    except Exception as error:  # timm's, of whatever kind
        raise UnsupportedCheckpointError(
            f"timm:{rest} gives no features of {height} x {width} pixels: "
            f"{type(error).__name__}: {error}"
        ) from error
    outputs: list[OutputName] = ["pooled"]
    prefix, stride = _places(module, encoded, recipe)
    if encoded.tokens is not None and encoded.tokens.shape[1] > prefix:
        outputs.append("tokens")
    if encoded.pyramid is not None:
        outputs.append("pyramid")
    return FAMILY.model(
        f"timm:{rest}",
        config=replace(config, dim=encoded.pooled.shape[1], prefix=prefix, stride=stride),
        weights=weights,
        preprocess=recipe,
        inputs=(TensorSpec(name="pixels", dtype="float32", shape=(BATCH, 3, height, width)),),
        params=sum(parameter.numel() for parameter in module.parameters()),
        outputs=tuple(outputs),
        license=license or None,
        opaque=True,
        source=source,
    )


def _places(module: Any, encoded: Any, recipe: ImagePreprocess) -> tuple[int, int | None]:  # noqa: ANN401
    """Return how many tokens stand before those of the grid, and the pixels a token of the grid.

    Args:
        module: Network that takes none of its tokens for a prefix.
        encoded: What it gives.
        recipe: Its preprocessing.
    """
    if encoded.tokens is None:
        return 0, None
    net, count = module.net, encoded.tokens.shape[1]
    prefix = getattr(net, "num_prefix_tokens", None)
    if prefix is None:
        prefix = 0
        own = [name for name, _ in net.named_parameters(recurse=False)]
        if encoded.pyramid and any(name.startswith("cls_token") for name in own):
            grid = encoded.pyramid[-1][0, 0].numel()
            prefix = count - grid if count > grid else count  # PiT gives nothing but its own
    height, width = recipe.size
    levels = getattr(net, "feature_info", None) or []
    likely = [level["reduction"] for level in levels[-1:]]
    likely.append(round(math.sqrt(height * width / max(1, count - prefix))))
    fitting = [s for s in likely if -(-height // s) * -(-width // s) == count - prefix]
    return prefix, fitting[0] if fitting else None
