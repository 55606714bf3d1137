"""A layer put together from the tensors of a file, each of them checked for what it must be."""

import math
from collections.abc import Mapping

import torch

from trainer.errors import AdapterUnusable
from trainer.formats.lora_set import LoraLayer, place_layer

KINDS_OF_WEIGHT = {2, 4}  # dimensions: a linear layer's, a convolution's over pictures
FLOATS = {torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2}
EXACT_IN = {torch.float64: torch.float32, torch.float8_e4m3fn: torch.float16, torch.float8_e5m2: torch.float16}


def put_together(
    name: str,
    down: torch.Tensor | None,
    up: torch.Tensor | None,
    alpha: float,
    magnitude: torch.Tensor | None = None,
    *,
    place: tuple[str, str] | None = None,
) -> LoraLayer:
    """Make a layer of its parts. `place`: component and path, by default those that its name tells.

    Raises: AdapterUnusable, naming the layer, where a matrix is missing or the parts do not belong together.
    """
    if down is None or up is None:
        raise AdapterUnusable(f"{name} has only one of its two LoRA matrices; the file is damaged, fetch it again")
    for part, tensor in (("down", down), ("up", up)):
        if not tensor.is_floating_point():
            raise AdapterUnusable(f"{name}: its {part} matrix is {str(tensor.dtype).removeprefix('torch.')}, no floats")
        if tensor.dim() not in KINDS_OF_WEIGHT or 0 in tensor.shape:
            raise AdapterUnusable(f"{name}: its {part} matrix has shape {list(tensor.shape)}, which is no LoRA matrix")
    if down.shape[0] != up.shape[1] or down.dim() != up.dim() or up.shape[2:].numel() != 1:
        raise AdapterUnusable(f"{name}: {list(down.shape)} and {list(up.shape)} are no pair of LoRA matrices")
    if not math.isfinite(alpha) or alpha == 0:
        raise AdapterUnusable(f"{name}: its alpha is {alpha:g}, so programs disagree on what it does; set it right")
    component, path = place or place_layer(name)
    return LoraLayer(component, path, down, up, alpha, magnitude)


def read_alpha(name: str, tensor: torch.Tensor | None, *, default: float) -> float:
    """Read a layer's alpha, one number in a tensor. Raises: AdapterUnusable."""
    if tensor is None:
        return default
    if tensor.numel() != 1:
        raise AdapterUnusable(f"{name}: its alpha has shape {list(tensor.shape)}, and should be one number")
    return float(tensor)


def flatten_magnitude(name: str, magnitude: torch.Tensor | None, up: torch.Tensor | None) -> torch.Tensor | None:
    """Flatten DoRA's magnitude to one number for each output, the only axis that peft and diffusers know.

    Of the output are [out], LyCORIS' [out, 1, …] and, where `up` is a convolution's, peft's [1, out, 1, 1]. LyCORIS'
    [1, in, …] (`wd_on_output=False`) is of the input. Raises: AdapterUnusable.
    """
    if magnitude is None or up is None:
        return None
    outputs, shape = up.shape[0], tuple(magnitude.shape)
    if shape in {(outputs,), (outputs, *(1,) * (up.dim() - 1)), (outputs, 1)}:
        return magnitude.flatten()
    if len(shape) > 1 and shape[0] == 1:
        raise AdapterUnusable(
            f"{name}: its DoRA magnitude has shape {list(shape)}, one number for each input (LyCORIS with "
            "wd_on_output=False); peft, diffusers and this trainer know DoRA by output only: train it with "
            "wd_on_output=True"
        )
    raise AdapterUnusable(f"{name}: its DoRA magnitude has shape {list(shape)}, and should have {outputs} numbers")


def flatten_peft_magnitude(name: str, magnitude: torch.Tensor | None, up: torch.Tensor | None) -> torch.Tensor | None:
    """Flatten the magnitude as peft has it: [out], a convolution's [1, out, 1, 1]. Raises: AdapterUnusable."""
    if magnitude is not None and up is not None and tuple(magnitude.shape) == (1, up.shape[0], 1, 1):
        return magnitude.flatten()
    return flatten_magnitude(name, magnitude, up)


def to_number_format(tensor: torch.Tensor) -> torch.Tensor:
    """Bring a tensor into a number format that models compute in; 8-bit floats are exact in it."""
    target = EXACT_IN.get(tensor.dtype)
    return tensor if target is None else tensor.to(target)


def refuse_not_finite(place: object, tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse NaN and infinite weights, naming the first tensor that has any. Raises: AdapterUnusable."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            continue
        if tensor.dtype not in FLOATS:
            raise AdapterUnusable(f"{place}: the tensor {name} is {tensor.dtype}, which cannot be computed in here")
        finite = to_number_format(tensor).isfinite()
        if not bool(finite.all()):
            raise AdapterUnusable(
                f"{place}: {int((~finite).sum())} of {tensor.numel()} numbers of the tensor {name} are NaN or infinite;"
                " the training that made it went wrong: take an earlier checkpoint of it"
            )
