"""The code of docs/add-a-family.md runs, in order, as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from zoo.keys import make_plan
from zoo.registry import default_registry

TEXT = (Path(__file__).parent.parent / "docs" / "add-a-family.md").read_text()


@pytest.fixture(scope="module")
def names() -> Any:
    """Return what the code of the page defines."""
    names: dict[str, Any] = {}
    try:
        for block in re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL):
            exec(block, names)
        yield names
    finally:
        default_registry.cache_clear()


def test_one_row_is_all_that_a_checkpoint_of_a_known_architecture_takes(
    names: dict[str, Any],
) -> None:
    assert names["vectors"].shape == (6, 192)
    assert default_registry().find("dino-ti16-microscopy") is names["ROW"]


def test_its_card_and_its_key_maps_follow(names: dict[str, Any]) -> None:
    from zoo.cards.render import markdown
    from zoo.cards.write import make_card

    assert "5,524,416" in markdown(make_card(names["ROW"]))


def test_the_key_map_of_the_page_covers_what_it_says(names: dict[str, Any]) -> None:
    part = "backbone.encoder.layer.0"
    header = {f"{part}.norm.weight": (4,), f"{part}.norm.bias": (4,), "head.weight": (9, 4)}
    header |= {f"{part}.attention.{name}.weight": (4, 4) for name in "qkv"}
    wanted = {"blocks.0.norm1.weight": (4,), "blocks.0.norm1.bias": (4,),
              "blocks.0.attention.qkv.weight": (12, 4)}  # fmt: skip

    plan = make_plan([names["LAYOUT"]], header, wanted)

    assert plan.dropped == (("head.weight", "classifier over labels"),)
