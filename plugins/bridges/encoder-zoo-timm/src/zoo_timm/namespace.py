"""`timm:NAME`: a row for any name that timm knows. timm is imported when a name is asked for."""

from __future__ import annotations

import difflib
import fnmatch
from types import ModuleType
from typing import Any

from zoo.errors import PluginError, UnknownModelError
from zoo.fields import Fields
from zoo.spec import BATCH, Family, ImagePreprocess, ModelSpec, OutputName, TensorSpec, WeightsSpec
from zoo_timm.config import TimmConfig
from zoo_vision.processing import from_timm

FAMILY = Family(
    name="timm",
    title="PyTorch Image Models",
    url="https://github.com/huggingface/pytorch-image-models",
    year=2019,
    objective="stated by timm's name of the checkpoint",
    license="unknown",
    modality="image",
)


class Timm:
    """The names of timm."""

    prefix = "timm"
    summary = "every model of timm, by its name there"

    def resolve(self, rest: str) -> tuple[ModelSpec, ...]:
        """Return the row of a name such as `resnet18` or `resnet18.a1_in1k`.

        Raises:
            UnknownModelError: timm has no such model.
            UnsupportedCheckpointError: Its preprocessing does something that the zoo does not.
        """
        timm = _timm()
        if not timm.is_model(rest.partition(".")[0]):
            near = difflib.get_close_matches(rest, timm.list_models(), n=3)
            hint = f" Did you mean {' or '.join(f'timm:{name}' for name in near)}?" if near else ""
            raise UnknownModelError(f"timm has no model {rest!r}.{hint}")
        try:
            facts = timm.get_pretrained_cfg(rest)
        except RuntimeError as error:  # timm's, for a tag that it does not know
            raise UnknownModelError(
                f"timm has no weights {rest!r}. See zoo list 'timm:{rest.partition('.')[0]}*'"
            ) from error
        recipe = from_timm(Fields(_asked(facts), f"timm's configuration of {rest}"))
        config, params, outputs = _measured(rest, recipe)
        return (
            FAMILY.model(
                f"timm:{rest}",
                config=config,
                weights=_weights(facts),
                preprocess=recipe,
                inputs=(
                    TensorSpec(name="pixels", dtype="float32", shape=(BATCH, 3, *recipe.size)),
                ),
                params=params,
                outputs=outputs,
                license=facts.license or None,
                opaque=True,
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
        raise PluginError(f"timm cannot be imported: {type(error).__name__}: {error}") from error
    return timm


def _asked(facts: Any) -> dict[str, Any]:  # noqa: ANN401  timm's PretrainedCfg
    """Return what timm says of the input, as its config.json would."""
    names = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")
    return {name: getattr(facts, name) for name in names}


def _weights(facts: Any) -> WeightsSpec:  # noqa: ANN401  as above
    if not facts.hf_hub_id:
        return WeightsSpec(source="none", files=(), reason="timm publishes none on the Hub")
    own = (facts.hf_hub_filename,) if facts.hf_hub_filename else ()
    return WeightsSpec(
        source=f"hf:{facts.hf_hub_id}",
        files=(*own, "model.safetensors", "pytorch_model.bin"),
        layout="timm",
    )


def _measured(name: str, recipe: ImagePreprocess) -> tuple[TimmConfig, int, tuple[OutputName, ...]]:
    """Return what only the built network tells: width, parameters, outputs."""
    import torch

    from zoo_timm.net import TimmNet

    module = TimmNet(TimmConfig(name=name, dim=0)).eval()
    with torch.inference_mode():
        encoded = module(torch.zeros(1, 3, *recipe.size))
    outputs: list[OutputName] = ["pooled"]
    outputs += ["tokens"] if encoded.tokens is not None else []
    outputs += ["pyramid"] if encoded.pyramid is not None else []
    params = sum(parameter.numel() for parameter in module.parameters())
    dim = encoded.pooled.shape[1]
    return TimmConfig(name=name, dim=dim), params, tuple(outputs)
