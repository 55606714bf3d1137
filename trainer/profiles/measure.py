"""FLOPs and bytes of one sample through a network on the meta device, as polynomials of its size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from pricing.catalog.profile import Costs
from trainer.profiles.adapted_linear import adapted
from trainer.profiles.attention import measured_attention
from trainer.profiles.curves import fit_curve
from trainer.profiles.launches import LaunchCounter
from trainer.profiles.network import Network
from trainer.profiles.saved_bytes import SavedTape, count_bytes

Measured = dict[str, float]


def measure_costs(network: Network, targets: Sequence[str]) -> Costs:
    """Measure FLOPs, launches and bytes of one step. Raises: NotAPolynomial."""
    points = [measure_bytes(network, size, targets) | measure_work(network, size, targets) for size in network.sizes]
    return Costs(**{name: fit_curve(network.sizes, [point[name] for point in points]) for name in points[0]})


def measure_bytes(network: Network, size: int, targets: Sequence[str]) -> Measured:
    tape = _record(network, size, network.find_layers(targets))
    return {
        "activation_bytes": count_bytes(tape.kept),
        "checkpoint_bytes": count_bytes(tape.checkpointed),
        "layer_bytes": tape.largest_part,
        "all_linear_activation_bytes": count_bytes(_record(network, size, network.list_layers()).kept),
    }


def _record(network: Network, size: int, layers: list[torch.nn.Linear]) -> SavedTape:
    tape = SavedTape(network.model)
    _set_checkpointing(network.model, tape.run_part)
    with measured_attention(), adapted(layers), tape.record():
        network.run(size)
    return tape


def measure_work(network: Network, size: int, targets: Sequence[str]) -> Measured:
    """Measure FLOPs and launched kernels, with the output head in the forward and the backward."""
    layers = network.find_layers(targets)
    kept = _count(network, size, layers, None)
    recomputing = _count(network, size, layers, partial(checkpoint, use_reentrant=False))
    return {
        "forward_flops": kept.forward_flops,
        "backward_flops": kept.backward_flops,
        "recomputed_flops": recomputing.backward_flops - kept.backward_flops,
        "launches": kept.launches,
        "recomputed_launches": recomputing.launches - kept.launches,
        **(_compare_passes(kept, recomputing) if network.counts_passes else {}),
    }


def _compare_passes(kept: "_Counted", recomputing: "_Counted") -> Measured:
    return {
        "passed_bytes": kept.passed_bytes,
        "recomputed_passed_bytes": recomputing.passed_bytes - kept.passed_bytes,
    }


@dataclass(frozen=True)
class _Counted:
    forward_flops: int
    backward_flops: int
    launches: int
    passed_bytes: int


def _count(
    network: Network, size: int, layers: list[torch.nn.Linear], checkpointing: Callable[..., Any] | None
) -> _Counted:
    _set_checkpointing(network.model, checkpointing)
    forward, backward, launched = FlopCounterMode(display=False), FlopCounterMode(display=False), LaunchCounter()
    with measured_attention(), adapted(layers):
        with forward, launched:
            output = network.run(size)
            output = network.head(output) if network.head is not None else output
        with backward, launched:
            output.backward(torch.empty_like(output))
    return _Counted(forward.get_total_flops(), backward.get_total_flops(), launched.launches, launched.passed_bytes)


def _set_checkpointing(model: Any, function: Callable[..., Any] | None) -> None:
    """Switch checkpointing on as transformers and diffusers do, with a function of our own."""
    for module in model.modules():
        if hasattr(module, "gradient_checkpointing"):
            module.gradient_checkpointing = function is not None
            module._gradient_checkpointing_func = function  # noqa: SLF001 - where both libraries look for it
