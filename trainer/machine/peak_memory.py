"""How much memory the run needed at most."""

import resource
import sys

import torch


def read_peak_memory_bytes() -> int:
    """Read the peak of the bytes allocated on the GPU, or without one of this process's resident size."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
