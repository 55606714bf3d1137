"""Batches of any size, filled up to a few sizes where that is cheaper: oneDNN prepares for each one that it meets.

It keeps 0.7 MB for each size of each product and takes about 1 ms to make it. With SmolLM2 on rows of mixed length that
was 2 % of the time and, after some epochs, 700 MB. MKL keeps nothing, and takes 2 % less time without the filling.
On a GPU, whatever the CPU beside it, and where a step is traced for one, nothing is filled up.
"""

import torch

from trainer.kernels.frozen_product import USES_ONEDNN

EVEN_FOR_ONEDNN = 8  # with 16 two percent more are computed of mixed rows, with 4 oneDNN keeps 200 MB more
MULTIPLE_OF = EVEN_FOR_ONEDNN if USES_ONEDNN else 1


def count_missing(size: int, device: torch.device) -> int:
    """Count how many are missing to the next even size of a device."""
    return -size % MULTIPLE_OF if device.type == "cpu" else 0
