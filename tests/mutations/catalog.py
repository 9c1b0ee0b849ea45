"""All mutations, by kind."""

from __future__ import annotations

from tests.mutations import (
    attention,
    embedding,
    layers,
    places,
    pooling,
    preparing,
    rotations,
    sounds,
    surface,
    windows,
)
from tests.mutations.kinds import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    *attention.MUTATIONS,
    *layers.MUTATIONS,
    *embedding.MUTATIONS,
    *pooling.MUTATIONS,
    *surface.MUTATIONS,
    *rotations.MUTATIONS,
    *places.MUTATIONS,
    *windows.MUTATIONS,
    *sounds.MUTATIONS,
    *preparing.MUTATIONS,
)
