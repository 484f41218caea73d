"""The machine a cell runs on: device, threads, determinism, memory, and a record of them."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

import torch

from cyborg.common.errors import UserError


def device() -> torch.device:
    """The device that cells run on: CYBORG_DEVICE (`cpu`, `cuda`, `cuda:1`), else a GPU, else cpu.

    Raises UserError where CYBORG_DEVICE names a device that this machine does not have.
    """
    name = os.environ.get("CYBORG_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"`{name}` is no device of this machine",
            where="CYBORG_DEVICE",
            hint="give cpu, cuda or cuda:<number>, or leave the variable unset",
        ) from error
    return chosen


def prepare(chosen: torch.device) -> None:
    """Make torch deterministic in this process and fix its number of threads.

    One thread unless CYBORG_THREADS says otherwise: torch divides reductions among its threads, so
    that another number of threads gives other last digits.
    """
    threads = os.environ.get("CYBORG_THREADS", "1")
    if not threads.isdecimal() or int(threads) < 1:
        raise UserError(f"`{threads}` is no number of threads", where="CYBORG_THREADS")
    torch.set_num_threads(int(threads))
    # cuBLAS reads this when it starts; without it, deterministic algorithms refuse to run there.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # On a GPU a few operators have no deterministic form: they warn, rather than end a training.
    # (torch.use_deterministic_algorithms does the same after importing the compiler: 5 s a cell.)
    torch.set_deterministic_debug_mode("warn" if chosen.type == "cuda" else "error")
    deterministic: Any = torch.utils.deterministic
    deterministic.fill_uninitialized_memory = False  # costs time, decides nothing
    torch.backends.cudnn.benchmark = False


def environment(chosen: torch.device) -> dict[str, Any]:
    """What decides the last digits of a result besides its specification."""
    gpu = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else None
    packages = ("torch", "torchvision", "timm", "numpy")
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "device": gpu or chosen.type,
        "cuda": torch.version.cuda if gpu else None,
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    """The processor's name as Linux tells it, else what Python knows."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as handle:
            names = [line.split(":", 1)[1].strip() for line in handle if "model name" in line]
        return names[0]
    except (OSError, IndexError):
        return platform.processor()


def explained(error: BaseException, key: str) -> BaseException:
    """An error of torch, as a UserError where it says that memory ran out or a compiler is absent.

    key: the parameter to lower where memory ran out.
    """
    text = str(error).lower()
    signs = ("out of memory", "allocate memory", "not enough memory", "unable to allocate")
    if isinstance(error, MemoryError) or any(sign in text for sign in signs):
        return UserError(
            "out of memory",
            where=f"params.yaml: {key}",
            hint=f"lower `{key}`, use a smaller image_size, or run fewer cells at a time",
        )
    if "no working c++ compiler" in text or "invalidcxxcompiler" in type(error).__name__.lower():
        return UserError(
            "torch.compile finds no C++ compiler",
            where="params.yaml: training.compile",
            hint="install one (g++), or leave `compile: false`",
        )
    return error
