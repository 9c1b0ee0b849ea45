"""Low precision: a plan of which operators may run in it, and the graph that follows the plan.

    ranges.py     what values a graph holds on real inputs
    plan.py       which operators stay in float32, each with its reason
    casts.py      the float32 graph plus casts
    structure.py  the proof that a graph is another one plus casts
    emulate.py    the same graph with float32 operators and rounded results, for a processor
    sensitive.py  the search for modules that should stay in float32

docs/export.md says what the rules are, docs/parity.md how the result is judged.
"""
