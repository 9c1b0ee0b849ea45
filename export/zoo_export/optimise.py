"""Fold constants and merge operators, changing no number that matters.

The exporter's own optimiser takes a constant below 1e-8 for zero (onnxscript 0.7.2,
rewriter/_matcher.py: `math.isclose` with an absolute tolerance) and leaves its sum out: the epsilon
under a square root is lost, and a black image becomes NaN. Here are its passes without the rules
that hold a constant against a number.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from zoo_export.reductions import split_reductions
from zoo_export.rows import rows

if TYPE_CHECKING:
    import onnx_ir as ir

ROUNDS = 2  # folding opens ways for rules, and rules for folding


def optimise(model: ir.Model) -> None:
    """Optimise a graph as the exporter left it, in place; names of operators become unique."""
    from onnx_ir.passes import PassManager, Sequential, common
    from onnxscript.optimizer import fold_constants_ir
    from onnxscript.rewriter import rewrite
    from onnxscript.rewriter.rules import common as rules

    kept = [
        rules.cast_cast_rule,
        rules.collapse_slice_rule,
        rules.collapse_slice2_rule,
        rules.flatten_to_reshape_rule,
        rules.fuse_batchnorm_into_conv_rule,
        rules.fuse_batchnorm_into_gemm_rule,
        rules.materialize_reshape_shape_rule,
        rules.no_op_cast_rule,
        rules.no_op_expand_rule,
        rules.no_op_transpose_rule,
        rules.remove_optional_bias_from_conv_rule,
        rules.remove_optional_bias_from_gemm_rule,
        rules.reshape_reshape_rule,
        rules.slice_split_rule,
        rules.squeeze_reshape_1d_rule,
        rules.successive_relu_rule,
        rules.transpose_transpose_rule,
        rules.unsqueeze_unsqueeze_rule,
    ]
    weights = frozenset(model.graph.initializers)
    common.InlinePass()(model)
    # weights keep their layout until it is known who reads them: a Gemm takes them as they are
    fold_constants_ir(model, onnx_shape_inference=True, should_fold=_unless_transposed)
    rows(model)
    for _ in range(ROUNDS):
        fold_constants_ir(model, onnx_shape_inference=True)
        rewrite(model, kept)
    split_reductions(model)
    Sequential(
        common.RemoveUnusedNodesPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
        PassManager(
            [common.CommonSubexpressionEliminationPass(), common.RemoveUnusedNodesPass()],
            steps=ROUNDS,
            early_stop=True,
        ),
        common.RemoveUnusedOpsetsPass(),
        common.OutputFixPass(),
        common.NameFixPass(),
    )(model)
    _name(model, weights)


def _unless_transposed(node: ir.Node) -> bool | None:
    """Return False, which stops folding, for a transposition; None leaves the choice."""
    return False if node.op_type == "Transpose" else None


def _name(model: ir.Model, weights: Collection[str]) -> None:
    """Name all but weights, inputs and outputs by place, which no way of tracing changes."""
    given = set(model.graph.outputs)
    for index, node in enumerate(model.graph):
        node.name = f"{node.op_type}_{index}"
        for place, value in enumerate(node.outputs):
            if value not in given:
                value.name = f"{node.name}_{place}" if place else node.name
    folded = [value for name, value in model.graph.initializers.items() if name not in weights]
    for index, value in enumerate(folded):
        value.name = f"constant_{index}"
