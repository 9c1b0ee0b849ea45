"""Key maps: every tensor accounted for, in both directions."""

from __future__ import annotations

import pytest

from zoo.errors import KeyMapError
from zoo.keys import KeyMap, Plan, drop, make_plan, merge, move, split

SPLIT_QKV = KeyMap(
    name="split",
    prefixes=("bert.",),
    renames=(("LayerNorm.gamma", "LayerNorm.weight"),),
    rules=(
        merge(
            ("layer.{i}.query.{wb}", "layer.{i}.key.{wb}", "layer.{i}.value.{wb}"),
            "blocks.{i}.qkv.{wb}",
        ),
        move("layer.{i}.LayerNorm.weight", "blocks.{i}.norm.weight"),
        move("proj", "head.weight", transpose=True),
        drop("cls.*", "the language-model head"),
    ),
)
WANTED = {
    "blocks.0.qkv.weight": (12, 4),
    "blocks.0.qkv.bias": (12,),
    "blocks.0.norm.weight": (4,),
    "head.weight": (3, 4),
}


def header(prefix: str = "", norm: str = "weight") -> dict[str, tuple[int, ...]]:
    parts = {f"layer.0.{part}.weight": (4, 4) for part in ("query", "key", "value")}
    parts |= {f"layer.0.{part}.bias": (4,) for part in ("query", "key", "value")}
    parts |= {f"layer.0.LayerNorm.{norm}": (4,), "proj": (4, 3)}
    return {prefix + name: shape for name, shape in parts.items()}


def targets(plan: Plan) -> set[str]:
    return {target for assignment in plan.assignments for target in assignment.targets}


def test_merge_and_transpose_give_the_networks_shapes() -> None:
    plan = make_plan([SPLIT_QKV], header(), WANTED)

    assert targets(plan) == set(WANTED)


def test_query_key_and_value_keep_their_order() -> None:
    plan = make_plan([SPLIT_QKV], dict(reversed(header().items())), WANTED)

    fused = next(a for a in plan.assignments if a.targets == ("blocks.0.qkv.weight",))
    assert fused.sources == tuple(f"layer.0.{part}.weight" for part in ("query", "key", "value"))


@pytest.mark.parametrize("prefix", ["bert.", "module.", "module.bert.", "_orig_mod."])
def test_a_prefix_is_detected_from_the_header(prefix: str) -> None:
    plan = make_plan([SPLIT_QKV], header(prefix), WANTED)

    assert all(s.startswith(prefix) for a in plan.assignments for s in a.sources)


def test_keys_beside_the_prefix_keep_their_names_and_are_dropped_with_a_reason() -> None:
    plan = make_plan([SPLIT_QKV], header("bert.") | {"cls.bias": (7,)}, WANTED)

    assert plan.dropped == (("cls.bias", "the language-model head"),)


def test_gamma_is_todays_weight() -> None:
    assert targets(make_plan([SPLIT_QKV], header(norm="gamma"), WANTED)) == set(WANTED)


def test_split_cuts_equal_parts() -> None:
    keymap = KeyMap(name="fused", rules=(split("w12", ("gate", "value")),))

    plan = make_plan([keymap], {"w12": (8, 3)}, {"gate": (4, 3), "value": (4, 3)})

    assert plan.assignments[0].targets == ("gate", "value")


def test_reshape_fills_in_the_free_axis() -> None:
    keymap = KeyMap(name="flat", rules=(move("cls", "cls_token", shape=(1, 1, -1)),))

    assert make_plan([keymap], {"cls": (5,)}, {"cls_token": (1, 1, 5)})


def test_a_tied_name_needs_no_key_of_its_own() -> None:
    keymap = KeyMap(name="tied", rules=(move("a", "a"),), ties=(("b", "a"),))

    assert make_plan([keymap], {"a": (2,)}, {"a": (2,), "b": (2,)})


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_the_networks_own_names_are_a_layout_too(prefix: str) -> None:
    own = {prefix + name: shape for name, shape in WANTED.items()}

    plan = make_plan([SPLIT_QKV], own, WANTED)

    assert {a.sources: a.targets for a in plan.assignments} == {
        (prefix + name,): (name,) for name in WANTED
    }


def test_a_state_dict_with_more_in_it_is_told_to_be_saved_alone() -> None:
    with pytest.raises(KeyMapError, match=r"'classifier\.weight'.*by itself: encoder\.module"):
        make_plan([SPLIT_QKV], {**WANTED, "classifier.weight": (2,)}, WANTED)


def test_a_layout_that_knows_no_key_is_not_the_nearest() -> None:
    lone = {"layer.0.query.weight": (4, 4)}  # two more are missing, and what they would make

    with pytest.raises(KeyMapError, match="the layout 'split', which comes nearest"):
        make_plan([SPLIT_QKV], lone, WANTED)


def test_a_state_dict_with_tied_names_fits_with_them_and_without() -> None:
    keymap = KeyMap(name="tied", rules=(move("x", "a"),), ties=(("b", "a"),))
    wanted = {"a": (2,), "b": (2,)}

    assert targets(make_plan([keymap], wanted, wanted)) == {"a"}
    assert targets(make_plan([keymap], {"a": (2,)}, wanted)) == {"a"}


def test_the_layout_that_fits_is_chosen() -> None:
    other = KeyMap(name="other", rules=(move("x", "x"),))

    assert make_plan([other, SPLIT_QKV], header(), WANTED).keymap.name == "split"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"surprise.weight": (1,)}, "surprise.weight"),
        ({"proj": (4, 5)}, r"head.weight \(file \[5, 4\], network \[3, 4\]\)"),
        ({"layer.1.LayerNorm.weight": (4,)}, "blocks.1.norm.weight"),
        ({"layer.0.key.bias": (4, 1)}, "blocks.0.qkv.bias"),
    ],
    ids=["unknown key", "wrong shape", "no place", "parts that do not join"],
)
def test_what_does_not_fit_is_named(change: dict[str, tuple[int, ...]], named: str) -> None:
    with pytest.raises(KeyMapError, match=named):
        make_plan([SPLIT_QKV], header() | change, WANTED)


@pytest.mark.parametrize("lost", sorted(header()))
def test_every_missing_key_is_an_error_that_names_it(lost: str) -> None:
    rest = {name: shape for name, shape in header().items() if name != lost}

    with pytest.raises(
        KeyMapError, match=r"Missing from the file|Nothing in the file fills"
    ) as hit:
        make_plan([SPLIT_QKV], rest, WANTED)
    assert lost in str(hit.value) or "head.weight" in str(hit.value) or "norm" in str(hit.value)


def test_two_keys_for_one_tensor_are_refused() -> None:
    keymap = KeyMap(name="both", rules=(move("a", "w"), move("b", "w")))

    with pytest.raises(KeyMapError, match="w \\(filled twice\\)"):
        make_plan([keymap], {"a": (1,), "b": (1,)}, {"w": (1,)})


def test_a_family_without_key_maps_says_so() -> None:
    with pytest.raises(KeyMapError, match="no key map"):
        make_plan([], {}, {})
