"""`python -m zoo` is `zoo`."""

from zoo.cli import run

run()
