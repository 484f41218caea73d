"""Choose and configure the machine that a cell runs on: device, threads, determinism, memory."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any, TypedDict

import torch

from cyborg.common.errors import UserError


class Environment(TypedDict):
    """The machine and the packages that trained a cell: they decide the last digits of a result."""

    python: str
    torch: str
    torchvision: str
    timm: str
    numpy: str
    system: str
    processor: str
    capability: str
    device: str
    cuda: str | None
    threads: int


def choose_device() -> torch.device:
    """Return the device that cells run on.

    That is the one in CYBORG_DEVICE (`cpu`, `cuda`, `cuda:1`). If the variable is unset, it is a
    GPU if there is one, and the CPU otherwise. Raises UserError if this machine does not have the
    device.
    """
    name = os.environ.get("CYBORG_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"no device `{name}` on this machine",
            location="CYBORG_DEVICE",
            hint="give cpu, cuda or cuda:<number>, or leave the variable unset",
        ) from error
    return device


def configure_torch(device: torch.device) -> None:
    """Make torch deterministic in this process and fix its number of threads.

    The number is 1 unless CYBORG_THREADS gives another one. torch divides reductions among its
    threads, so another number of threads gives other last digits. Raises UserError if the variable
    does not hold a number.
    """
    threads = os.environ.get("CYBORG_THREADS", "1")
    if not threads.isdecimal() or int(threads) < 1:
        raise UserError(
            f"`{threads}` is not a number of threads",
            location="CYBORG_THREADS",
            hint="give a number from 1 up, or leave the variable unset",
        )
    torch.set_num_threads(int(threads))
    # cuBLAS reads this when it starts. Without it, deterministic algorithms refuse to run there.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # On a GPU a few operators have no deterministic form. They warn, rather than end a training.
    # (torch.use_deterministic_algorithms does the same after importing the compiler: 5 s a cell.)
    torch.set_deterministic_debug_mode("warn" if device.type == "cuda" else "error")
    deterministic: Any = torch.utils.deterministic  # the module assigns to its own class
    deterministic.fill_uninitialized_memory = False  # costs time, decides nothing
    torch.backends.cudnn.benchmark = False


def describe_environment(device: torch.device) -> Environment:
    """Return the content of environment.json: the packages, and the machine with its device."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "python": platform.python_version(),
        "torch": version("torch"),
        "torchvision": version("torchvision"),
        "timm": version("timm"),
        "numpy": version("numpy"),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _find_processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "device": gpu or device.type,
        "cuda": torch.version.cuda if gpu else None,
        "threads": torch.get_num_threads(),
    }


def _find_processor() -> str:
    """Return the processor's name from Linux, or else the one that Python knows."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as handle:
            names = [line.split(":", 1)[1].strip() for line in handle if "model name" in line]
        return names[0]
    except (OSError, IndexError):
        return platform.processor()


def explain_error(error: BaseException, key: str) -> BaseException:
    """Return a UserError for an error of torch that the user can fix, and any other unchanged.

    Those are a full memory and a missing compiler. key: the parameter to lower if memory is full.
    """
    text = str(error).lower()
    signs = ("out of memory", "allocate memory", "not enough memory", "unable to allocate")
    if isinstance(error, MemoryError) or any(sign in text for sign in signs):
        return UserError(
            "out of memory",
            location=f"params.yaml: {key}",
            hint=f"lower `{key}`, use a smaller image_size, or run fewer cells at a time",
        )
    if "no working c++ compiler" in text or "invalidcxxcompiler" in type(error).__name__.lower():
        return UserError(
            "torch.compile finds no C++ compiler",
            location="params.yaml: training.compile",
            hint="install one (g++), or leave `compile: false`",
        )
    return error
