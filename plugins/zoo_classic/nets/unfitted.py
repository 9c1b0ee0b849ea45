"""What stands in an encoder before it is fitted."""

from __future__ import annotations

from torch import Tensor, nn

from zoo.encoded import Encoded
from zoo.fitting import unfitted
from zoo_classic.descriptor_config import DescriptorConfig
from zoo_classic.term_config import TermConfig


class Unfitted(nn.Module):
    """Says what to do.

    Args:
        config: Of what it will be.

    Attributes:
        normalize: Whether the pooled vector will have unit L2 norm.
    """

    def __init__(self, config: TermConfig | DescriptorConfig) -> None:
        super().__init__()
        self.normalize = config.normalize

    def forward(self, *_tensors: Tensor, **_named: Tensor) -> Encoded:
        """Refuse.

        Raises:
            OptionError: Always.
        """
        raise unfitted("This encoder")
