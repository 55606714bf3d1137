"""How much memory the run needed at most."""

import resource
import sys

import torch


def read_peak_memory_bytes() -> int:
    """Peak bytes allocated on the GPU, or without one the peak resident size of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
