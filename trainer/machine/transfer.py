"""Bringing tensors to the device without waiting for it."""

import torch


def bring(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy a tensor of the CPU to the device; to a GPU from pinned memory, so that it is copied beside the last step.

    A copy from memory that can be paged out would hold Python back until the GPU has come to it. torch keeps the pinned
    memory until the copy is done.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
