"""All mutations, by kind."""

from __future__ import annotations

from tests.mutations import attention, embedding, layers, pooling, preparing, surface
from tests.mutations.kinds import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    *attention.MUTATIONS,
    *layers.MUTATIONS,
    *embedding.MUTATIONS,
    *pooling.MUTATIONS,
    *surface.MUTATIONS,
    *preparing.MUTATIONS,
)
