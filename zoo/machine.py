"""What this machine is: processor, memory, GPUs and their clocks. No torch."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

_FIELDS = ("index", "name", "compute_cap", "driver_version", "clocks.sm", "clocks.max.sm",
           "clocks.mem", "power.draw", "temperature.gpu")  # fmt: skip
_COMMAND = ("nvidia-smi", f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits")
_ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuState:
    """A GPU as nvidia-smi sees it now.

    Attributes:
        index: As in `cuda:1`.
        name: The product's.
        capability: Compute capability, major and minor.
        driver: Version of the driver.
        clock: Of its processors now, MHz; None where it is not told, as for what follows.
        highest_clock: That they may have, MHz.
        memory_clock: Now, MHz.
        watts: Drawn now.
        celsius: Temperature now.
    """

    index: int
    name: str
    capability: tuple[int, int]
    driver: str
    clock: float | None = None
    highest_clock: float | None = None
    memory_clock: float | None = None
    watts: float | None = None
    celsius: float | None = None


def processor() -> str:
    """Return the processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int | None:
    """Return the bytes that processes may still take, or None if this system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("MemAvailable:"):  # caches of files make way
            return int(line.split()[1]) * 1024
    if "SC_AVPHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def gpus() -> tuple[GpuState, ...]:
    """Return NVIDIA's GPUs; none where there is no nvidia-smi."""
    try:
        done = subprocess.run(
            _COMMAND, capture_output=True, text=True, check=False, timeout=_ANSWER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_gpus(done.stdout) if done.returncode == 0 else ()


def parse_gpus(text: str) -> tuple[GpuState, ...]:
    """Return the GPUs that nvidia-smi lists; lines that it writes about errors are left out."""
    found = []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) != len(_FIELDS) or not words[0].isdecimal():
            continue
        major, _, minor = words[2].partition(".")
        clock, highest, memory, watts, celsius = map(_number, words[4:])
        found.append(
            GpuState(
                index=int(words[0]),
                name=words[1],
                capability=(int(major), int(minor or 0)) if major.isdecimal() else (0, 0),
                driver=words[3],
                clock=clock,
                highest_clock=highest,
                memory_clock=memory,
                watts=watts,
                celsius=celsius,
            )
        )
    return tuple(found)


def driver_cuda() -> int | None:
    """Return the highest CUDA version that the driver takes, as 13020 for 13.2, if there is one."""
    library = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
    version = ctypes.c_int(0)
    try:
        failed = ctypes.CDLL(library).cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return version.value if not failed and version.value else None


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:  # nvidia-smi writes [N/A]
        return None
