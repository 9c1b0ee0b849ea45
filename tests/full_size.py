"""Names and shapes of a file of full size against a row's network: both ways, without memory."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from zoo.keys import Plan, make_plan
from zoo.nn.meta import on_meta
from zoo.spec import ModelSpec

Shapes = Mapping[str, tuple[int, ...]]


def shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of a state dict."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def assert_covers(row: ModelSpec, header: Shapes, layout: str | None = None) -> Plan:
    """Assert that a file fills the whole network and that nothing of it is left over unsaid.

    Args:
        row: Whose network it is.
        header: Names and shapes in the file.
        layout: Name of the key map that must know it.

    Returns:
        The plan, for what is peculiar to a family.
    """
    with on_meta():
        wanted = shapes(row.config.build().state_dict())

    plan = make_plan(row.family.keymaps, header, wanted)

    assert layout in (None, plan.keymap.name)
    targets = [target for step in plan.assignments for target in step.targets]
    assert sorted(targets) == sorted(wanted)
    used = {source for step in plan.assignments for source in step.sources}
    assert used | {name for name, _ in plan.dropped} == set(header)
    assert all(why for _, why in plan.dropped)
    return plan


def dropped(plan: Plan) -> set[str]:
    """Return the names in the file that are left out."""
    return {name for name, _ in plan.dropped}
