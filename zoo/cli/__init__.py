"""The command line: one file a command, imported when it is asked for.

Exit codes: 0 good, 1 a ZooError or a problem that the command looked for, 2 wrong usage,
3 outputs that were not proven, 130 interrupted. ZOO_DEBUG=1 shows the traceback of an error.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NoReturn

import click

from zoo import __version__
from zoo.cli.lazy import LazyGroup, example
from zoo.errors import ZooError

DEBUG = "ZOO_DEBUG"
INTERRUPTED = 130  # 128 + SIGINT, as shells report it


ENVIRONMENT = """

\b
Environment:
  ZOO_CACHE         Where bundles, engines and locks are kept.
  HF_HOME           Where files of the Hub are kept.
  HF_TOKEN          For models whose licence you have accepted there.
  HF_ENDPOINT       Another Hub.
  HF_HUB_OFFLINE=1  Use only what is here.
  ZOO_PLUGINS       Plugins that are loaded, comma-separated; all by default.
  ZOO_DEBUG=1       Show the traceback of an error."""


@click.group(
    cls=LazyGroup,
    lazy={
        "bench": "zoo.cli.bench",
        "card": "zoo.cli.card",
        "demo": "zoo.cli.demo",
        "doctor": "zoo.cli.doctor",
        "embed": "zoo.cli.embed",
        "info": "zoo.cli.info",
        "list": "zoo.cli.list",
        "plugins": "zoo.cli.plugins",
        "pull": "zoo.cli.pull",
        "similarity": "zoo.cli.similarity",
        "verify": "zoo.cli.verify",
    },
    epilog=example(
        'zoo list "dino*"',
        "zoo embed all-minilm-l6-v2 notes.txt -o notes.npy",
    )
    + ENVIRONMENT,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="zoo")
def cli() -> None:
    """One door to every pretrained encoder."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: Words after `zoo`; by default the process's own.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # the name of a file may be beyond its encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        if "_ZOO_COMPLETE" in os.environ:  # a shell asks, at every Tab, amid what is being typed
            warnings.simplefilter("ignore")
        try:
            code = cli.main(args=arguments, prog_name="zoo", standalone_mode=False)
            if sys.stdout is not None:  # as after `>&-`
                sys.stdout.flush()
            return code if isinstance(code, int) else 0
        except SystemExit as stop:
            if not isinstance(stop.__context__, BrokenPipeError):
                raise
            return 0  # click ends so when nobody reads
        except click.Abort:  # click's name for Ctrl-C
            click.echo("Interrupted", err=True)
            return INTERRUPTED
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except BrokenPipeError:
            # The reader, such as `head`, has seen enough. Python would complain at exit when it
            # flushes what nobody reads.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except (ZooError, OSError) as error:
            if os.environ.get(DEBUG):
                raise
            click.echo(f"Error: {_sentence(error)}", err=True)
            return error.exit_code if isinstance(error, ZooError) else 1


def _sentence(error: ZooError | OSError) -> str:
    """Return what went wrong; what the operating system refuses gets the file and what to do."""
    if isinstance(error, ZooError):
        return str(error)
    from zoo.weights.cache import disk_fault

    if error.filename:
        return str(disk_fault(error, Path(str(error.filename))) or error)
    if disk_fault(error, Path()) is not None:  # only streams have no name
        return f"The output cannot be written: {error.strerror}."
    return f"{type(error).__name__}: {error}"


def run() -> NoReturn:
    """Run the command line and end the process, also where a plugin's thread goes on."""
    code = main()
    registry = sys.modules.get("zoo.registry")
    if registry is not None and registry.default_registry.cache_info().currsize:
        plugins = registry.default_registry().plugins
        if any(thread.is_alive() for plugin in plugins for thread in plugin.threads):
            sys.stderr.flush()
            os._exit(code)  # sys.exit would wait for it
    sys.exit(code)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: IO[str] | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as people read it; where in our code it was raised helps nobody."""
    click.echo(f"Warning: {message}", err=True)
