"""All mutations, by kind."""

from __future__ import annotations

from tests.mutations import attention, ends, layers, preparing
from tests.mutations.kinds import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    *attention.MUTATIONS,
    *layers.MUTATIONS,
    *ends.MUTATIONS,
    *preparing.MUTATIONS,
)
