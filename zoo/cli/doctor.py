"""`zoo doctor`: what this machine and this installation can do, and what is wrong with them."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import stat
import sys
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from zoo.cli.lazy import example
from zoo.cli.output import echo_json, listing, size
from zoo.errors import WeightsError

PACKAGES = (
    "encoder-zoo",
    "numpy",
    "pillow",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "torch",
    "pyarrow",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx",
    "cuda-bindings",
)
SECRETS = ("TOKEN", "KEY", "SECRET", "PASSWORD")
PREFIXES = ("HF_", "HUGGINGFACE_", "ZOO_")
ANSWER_SECONDS = 5.0

Report = dict[str, Any]


@click.command(
    "doctor",
    short_help="Describe this installation and what is wrong with it.",
    epilog=example(
        "zoo doctor",
        "zoo doctor --network --json",
        "zoo doctor dist/dinov2-b14-tensorrt",
    ),
)
@click.argument("path", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--network", is_flag=True, help="Also ask the Hub whether it answers.")
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
@click.pass_context
def command(context: click.Context, path: Path | None, network: bool, as_json: bool) -> None:
    """Describe this installation and name what is wrong with it.

    Given the bundle DIR, also says whether it is whole and its engine runs here. Makes no network
    call unless --network is given. Exits with 1 if there is a problem.
    """
    from zoo.bundle import damage
    from zoo.doctor.checks import examine
    from zoo.doctor.facts import installation, missing_extras, pip_lines

    here = installation(path)
    broken = None if path is None else damage(path)
    lacks = {name: what for name, what in missing_extras(here.packages).items() if name != "dev"}
    findings = examine(here)
    report: Report = {
        "python": python(),
        "packages": {name: _version(name) for name in PACKAGES},
        "torch": torch_report(),
        "cpu": {"bfloat16": cpu_bfloat16()},
        "gpus": [
            f"{gpu.name}, sm_{gpu.capability[0]}{gpu.capability[1]}, driver {gpu.driver}"
            for gpu in here.gpus
        ],
        "engines": [
            f"{one.path}: {one.engine.target} {one.engine.version} for "
            f"{', '.join(one.engine.devices)}"
            for one in here.engines
        ],
        "extras": pip_lines(here.packages, lacks),
        "cache": cache(),
        "hub": hub(network),
        "environment": environment(),
        "plugins": plugin_reports(),
    }
    report["problems"] = [
        *problems(report),
        *([broken] if broken else []),
        *(finding.text for finding in findings if finding.problem),
    ]
    report["notes"] = [finding.text for finding in findings if not finding.problem]
    if as_json:
        echo_json(report)
    else:
        _show(report)
    if report["problems"]:
        context.exit(1)


def python() -> Report:
    """Return which Python this is."""
    return {
        "version": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "processors": os.cpu_count(),
    }


def torch_report() -> Report | None:
    """Return what torch sees, None where it is not installed, its error where it is broken."""
    if _version("torch") is None:
        return None
    try:
        import torch
    except (ImportError, OSError, RuntimeError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    devices = ["cpu"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old driver is reported by the device's absence
        if torch.cuda.is_available():
            names = map(torch.cuda.get_device_name, range(torch.cuda.device_count()))
            devices += [f"cuda:{i} ({name})" for i, name in enumerate(names)]
        if torch.backends.mps.is_available():
            devices.append("mps")
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "devices": devices,
        "threads": torch.get_num_threads(),
    }


def cpu_bfloat16() -> str:
    """Return which bfloat16 instructions the processor has; without one bfloat16 is slow."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "unknown"
    words = set(text.split())
    return ", ".join(name for name in ("avx512_bf16", "amx_bf16", "bf16") if name in words) or "no"


def cache() -> Report:
    """Return where files are kept and how much there is."""
    from zoo.weights.cache import cache_root, hub_cache

    return {"zoo": _folder(cache_root()), "hub": _folder(hub_cache())}


def _folder(path: Path) -> Report:
    # unlike Path's own, these functions take what may not be looked at for what is not there
    there = next(parent for parent in (path, *path.parents) if os.path.exists(parent))
    sizes = list(_sizes(path))
    return {
        "path": str(path),
        "files": len(sizes),
        "bytes": sum(sizes),
        "free_bytes": shutil.disk_usage(there).free,
        "writable": os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK),
    }


def _sizes(folder: Path) -> Iterator[int]:
    """Yield the sizes of files; what another process removes meanwhile is left out."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                status = os.lstat(Path(parent, name))  # the Hub's cache links to files elsewhere
                if stat.S_ISREG(status.st_mode):
                    yield status.st_size


def hub(network: bool) -> Report:
    """Return where the Hub is and, if asked, whether it answers."""
    from zoo.weights.hub import hub_endpoint, is_offline

    try:
        endpoint = hub_endpoint()
        answers = _answer(endpoint) if network else "not asked"
    except WeightsError as error:
        endpoint, answers = os.environ["HF_ENDPOINT"], f"no: {error}"
    return {"endpoint": endpoint, "offline": is_offline(), "answers": answers}


def _answer(endpoint: str) -> str:
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):
            return "yes"
    except urllib.error.HTTPError as error:
        return f"yes, with status {error.code}"  # an answer all the same
    except (OSError, HTTPException, ValueError) as error:
        return f"no: {error}"


def environment() -> dict[str, str]:
    """Return the variables that change what the zoo or the Hub's client does; secrets hidden."""
    return {
        name: "(set)" if any(word in name for word in SECRETS) else value
        for name, value in sorted(os.environ.items())
        if name.startswith(PREFIXES)
    }


def plugin_reports() -> list[Report]:
    """Return all plugins, broken ones with the reason."""
    from zoo.cli.plugins import plugin_to_dict
    from zoo.registry import default_registry

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the report says it
        plugins = default_registry().plugins
    return [plugin_to_dict(plugin) for plugin in plugins]


def problems(report: Report) -> list[str]:
    """Return what is wrong, a sentence each."""
    found = [
        f"The plugin {plugin['entry_point']!r} of {plugin['distribution']} is broken: "
        f"{plugin['error']}"
        for plugin in report["plugins"]
        if plugin["error"]
    ]
    if report["torch"] and "error" in report["torch"]:
        found.append(f"torch is installed but cannot be imported: {report['torch']['error']}")
    found += [
        f"The cache {folder['path']} cannot be written. Set ZOO_CACHE or HF_HOME."
        for folder in report["cache"].values()
        if not folder["writable"]
    ]
    if report["hub"]["answers"].startswith("no:"):
        reason = report["hub"]["answers"].removeprefix("no: ")
        found.append(f"The Hub at {report['hub']['endpoint']} does not answer: {reason}")
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _show(report: Report) -> None:
    packages = ((name, found or "not installed") for name, found in report["packages"].items())
    torch = report["torch"] or {}
    devices = ", ".join(torch.get("devices", ["not installed" if not torch else "broken"]))
    sections = {
        "Python": [(key, str(value)) for key, value in report["python"].items()],
        "Packages": list(packages),
        "Devices": [
            ("torch", devices),
            ("threads", str(torch.get("threads", ""))),
            ("cpu bfloat16", report["cpu"]["bfloat16"]),
            *(("gpu", gpu) for gpu in report["gpus"]),
        ],
        "Not installed": list(report["extras"].items()) or [("nothing", "is missing")],
        "Engines": [("engine", engine) for engine in report["engines"]],
        "Cache": [
            (name, f"{folder['path']}: {folder['files']} files, {size(folder['bytes'])}; "
                   f"{size(folder['free_bytes'])} free, "
                   f"{'writable' if folder['writable'] else 'NOT writable'}")
            for name, folder in report["cache"].items()
        ],
        "Hub": [(key, str(value)) for key, value in report["hub"].items()],
        "Environment": list(report["environment"].items()) or [("none", "is set")],
        "Plugins": [
            (plugin["entry_point"], f"{plugin['distribution']} {plugin['version']}, "
                                    f"{len(plugin['models'])} models, {plugin['seconds']:.3f} s"
                                    + (f", {plugin['error']}" if plugin["error"] else ""))
            for plugin in report["plugins"]
        ],
    }  # fmt: skip
    for title, pairs in sections.items():
        if not pairs:
            continue
        click.echo(f"{title}\n  " + listing(pairs).replace("\n", "\n  ") + "\n")
    if report["notes"]:
        click.echo("Good to know\n  " + "\n  ".join(report["notes"]) + "\n")
    if report["problems"]:
        click.echo("Problems\n  " + "\n  ".join(report["problems"]))
    else:
        click.echo("No problem found.")
