# `just check` and `just test` are what a change must pass.

default:
    @just --list

# Format, lint, types, layers.
check:
    ruff format .
    ruff check .
    codespell
    mypy
    lint-imports

# The quick tests; arguments go to pytest: `just test -k clip`.
test *arguments:
    python -m pytest -n 2 {{ arguments }}

# The slow tests and those with real weights too, as CI runs them.
test-all:
    python -m pytest -n 2 -m "not network and not gpu"
