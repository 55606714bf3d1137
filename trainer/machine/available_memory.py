"""How much memory there is to train in."""

from pathlib import Path

import psutil
import torch

BYTES_PER_GIB = 2**30
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def read_available_gib() -> float:
    """Read how many GiB a run may take: what is free of the GPU, or without one of the machine or its container, and
    what this process holds already.
    """
    if torch.cuda.is_available():
        return (torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()) / BYTES_PER_GIB
    mine = psutil.Process().memory_info().rss
    return min(psutil.virtual_memory().available + mine, _read_container_limit()) / BYTES_PER_GIB


def _read_container_limit() -> float:
    """Read the limit in bytes; infinite where no container, or none with a limit, is around us."""
    try:
        return float(CGROUP_LIMIT.read_text(encoding="ascii").strip().replace("max", "inf"))
    except (OSError, ValueError):
        return float("inf")
