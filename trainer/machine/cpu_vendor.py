"""Whose CPU this is, as Linux tells it."""

from pathlib import Path

_CPU_INFORMATION = Path("/proc/cpuinfo")


def is_made_for_mkl(information: Path = _CPU_INFORMATION) -> bool:
    """Tell whether this machine's CPU is Intel's; elsewhere than on Linux False."""
    return information.is_file() and "GenuineIntel" in information.read_text("utf-8", errors="replace")
