"""A line of words for the machine that the numbers come from."""

import os
import platform
from pathlib import Path

import psutil


def describe_machine() -> str:
    """For example `Intel Xeon, 2 cores, 24 GiB, Linux 6.1, Python 3.11.7`."""
    memory_gib = psutil.virtual_memory().total / 2**30
    cores = count_cores()
    system = f"{platform.system()} {platform.release()}"
    return f"{_name_processor()}, {cores} cores, {memory_gib:.0f} GiB, {system}, Python {platform.python_version()}"


def count_cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _name_processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
