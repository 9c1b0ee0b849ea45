"""All architectures of this package, as data."""

from __future__ import annotations

from zoo_vision.autoencoder_config import AutoencoderConfig
from zoo_vision.convnext_config import ConvNeXtConfig
from zoo_vision.imagegpt_config import ImageGptConfig
from zoo_vision.resnet_config import ResNetConfig
from zoo_vision.swin_config import SwinConfig
from zoo_vision.vit_config import ViTConfig

__all__ = [
    "AutoencoderConfig",
    "ConvNeXtConfig",
    "ImageGptConfig",
    "ResNetConfig",
    "SwinConfig",
    "ViTConfig",
]
