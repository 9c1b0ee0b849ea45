"""The numbers that fix a vision transformer. No torch until `build()`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from zoo.nn.activations import ActivationName
    from zoo.nn.positions import PositionMode
    from zoo_vision.nets.vit import ViT

Pooling = Literal["cls", "mean", "cls_dist", "map"]
Positions = Literal["learned", "rotary", "relative", "relative_shared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViTConfig:
    """A pre-norm transformer over square patches; its checkpoints differ in these fields alone.

    Attributes:
        width: Of a token.
        depth: Number of blocks.
        heads: Of attention, in every block.
        hidden: Width inside the MLP; of each half, if it is gated.
        image_size: Height, width that the position embeddings were learned on, pixels.
        patch: Side of a patch, pixels.
        activation: Inside the MLP, unless it is gated.
        swiglu: Whether the MLP is silu(gate) * value.
        norm_eps: Epsilon of every LayerNorm.
        qkv_bias: Whether the fused query-key-value projection has a bias.
        key_bias: Whether keys have a part in that bias.
        patch_bias: Whether the patch projection has a bias.
        pre_norm: Whether tokens are normalised before the first block (CLIP's ln_pre).
        layer_scale: Whether each branch has a learned scale.
        class_token: Whether there is a class token.
        distillation_token: Whether there is a distillation token after it (DeiT).
        registers: Number of register tokens after them; they have no position.
        positions: `learned`: an embedding a patch; `rotary`: queries and keys of patches turn with
            their places (DINOv3); `relative`: a table of what two places add to their scores, in
            each block, or one `relative_shared` by all (BEiT).
        rotary_base: Of the rotations' periods.
        class_position: Whether class and distillation token have rows in the position embedding.
        position_mode: How positions are resampled for another image size.
        position_antialias: Whether that filter widens when the grid shrinks.
        position_offset: Added to the new grid's size when the scale is computed.
        final_norm: Whether all tokens are normalised after the last block.
        pool_norm: Whether the pooled vector is normalised by a LayerNorm of its own.
        pooling: `cls`, `mean` of the patches, `cls_dist`: mean of class and distillation token, or
            `map`: a learned query attends to the patches, and an MLP follows (SigLIP).
        projection: Width of a linear map without bias after pooling, or None.
        normalize: Whether the vector leaves with unit L2 norm.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    image_size: tuple[int, int] = (224, 224)
    patch: int = 16
    activation: ActivationName = "gelu"
    swiglu: bool = False
    norm_eps: float = 1e-6
    qkv_bias: bool = True
    key_bias: bool = True
    patch_bias: bool = True
    pre_norm: bool = False
    layer_scale: bool = False
    class_token: bool = True
    distillation_token: bool = False
    registers: int = 0
    positions: Positions = "learned"
    rotary_base: float = 100.0
    class_position: bool = True
    position_mode: PositionMode = "bicubic"
    position_antialias: bool = False
    position_offset: float = 0.0
    final_norm: bool = True
    pool_norm: bool = False
    pooling: Pooling = "cls"
    projection: int | None = None
    normalize: bool = False

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}.")
        if any(size % self.patch for size in self.image_size):
            raise ValueError(f"image_size {self.image_size} is no multiple of patch {self.patch}.")
        if self.pooling in ("cls", "cls_dist") and not self.class_token:
            raise ValueError(f"pooling {self.pooling!r} needs a class token.")
        if self.pooling == "cls_dist" and not self.distillation_token:
            raise ValueError("pooling 'cls_dist' needs a distillation token.")
        if self.position_offset and (self.position_antialias or self.position_mode != "bicubic"):
            raise ValueError("position_offset is defined for plain bicubic resampling only.")
        if self.positions == "rotary" and self.width // self.heads % 4:
            raise ValueError(f"Rotations need heads whose width is a multiple of 4, got {self}.")
        if self.positions.startswith("relative") and self.prefix != 1:
            raise ValueError("Relative positions are defined for a class token and patches only.")

    @property
    def dim(self) -> int:
        """Width of the pooled vector."""
        return self.projection or self.width

    @property
    def stride(self) -> int:
        """Pixels from one token to the next."""
        return self.patch

    @property
    def grid(self) -> tuple[int, int]:
        """Rows, columns of patches at `image_size`."""
        return self.image_size[0] // self.patch, self.image_size[1] // self.patch

    @property
    def placed(self) -> int:
        """Tokens before the patches that have a position of their own."""
        placed = self.class_position and self.positions == "learned"
        return (self.class_token + self.distillation_token) if placed else 0

    @property
    def prefix(self) -> int:
        """Tokens before the patches."""
        return self.class_token + self.distillation_token + self.registers

    @property
    def params(self) -> int:
        """Parameters of the network."""
        width, norm = self.width, 2 * self.width
        biases = (3 if self.key_bias else 2) * self.qkv_bias
        attention = width * (3 * width + biases) + width * (width + 1)
        first = 2 * self.hidden if self.swiglu else self.hidden
        mlp = first * (width + 1) + width * (self.hidden + 1)
        block = 2 * norm + attention + mlp + 2 * width * self.layer_scale
        pool = (
            width + 4 * width * (width + 1) + norm + 2 * width * self.hidden + self.hidden + width
        )
        return (
            width * (3 * self.patch**2 + self.patch_bias)
            + width * self.prefix
            + self._position_params()
            + self.depth * block
            + norm * (self.pre_norm + self.final_norm + self.pool_norm)
            + pool * (self.pooling == "map")
            + width * (self.projection or 0)
        )

    def _position_params(self) -> int:
        rows, columns = self.grid
        if self.positions == "learned":
            return self.width * (self.placed + rows * columns)
        table = ((2 * rows - 1) * (2 * columns - 1) + 3) * self.heads
        return {"rotary": 0, "relative": self.depth * table, "relative_shared": table}[
            self.positions
        ]

    def build(self) -> ViT:
        """Build the network."""
        from zoo_vision.nets.vit import ViT

        return ViT(self)

    def tiny(self) -> ViTConfig:
        """Return a version of a few thousand parameters with every feature still on."""
        rows, columns = self.grid
        return replace(
            self,
            width=16,
            depth=2,
            heads=2,
            hidden=24,
            patch=4,
            image_size=(16, 16) if rows == columns else (16, 20),
            projection=None if self.projection is None else 12,
        )
