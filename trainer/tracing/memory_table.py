"""The table of a base model's profile: steps of each method traced at a few batches and lengths, and replayed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import torch

from pricing.catalog.traced_memory import Grid, TracedBytes, TracedMemory, TracedVariant
from pricing.training.config import ALL_LINEAR, TrainingConfig
from trainer.families.stable_diffusion.configs import Kind
from trainer.tracing.caching_allocator import AllocatorPeak, replay
from trainer.tracing.gpu_attention import gpu_attention
from trainer.tracing.gpu_autocast import gpu_autocast
from trainer.tracing.gpu_norms import gpu_norms
from trainer.tracing.image_trace import prepare_pictures
from trainer.tracing.memory_trace import TracedStep, count_resident, trace_step
from trainer.tracing.storage_tape import META
from trainer.tracing.text_trace import prepare_text

TEXT_SAMPLES, TEXT_LENGTHS = (1, 8), (128, 1024, 4096)
PICTURE_SAMPLES, PICTURE_SIZES = (1, 4), (1024, 9216)
AUTOCAST_BITS = 16
VARIANTS: tuple[TracedVariant, ...] = ("lora", "dora")
DTYPES = {16: torch.bfloat16, 32: torch.float32}


@dataclass(frozen=True)
class TracedMethod:
    """How a step of the table is run; see `TracedBytes`."""

    bits: int
    adapts_all: bool
    checkpointing: bool
    variant: TracedVariant = "lora"


Prepare = Callable[[TracedMethod, int, int], TracedStep]


def trace_text(network: Any, targets: Sequence[str], *, longest: int) -> TracedMemory:
    """Trace a causal language model. `network`: its transformers configuration; `longest`: its context, in tokens."""
    lengths = choose_lengths(longest)
    methods = [
        TracedMethod(bits, adapts_all, checkpointing, variant)
        for variant, bits, adapts_all, checkpointing in product(VARIANTS, (16, 32), (False, True), (False, True))
    ]

    def prepare(method: TracedMethod, samples: int, length: int) -> TracedStep:
        named = [ALL_LINEAR] if method.adapts_all else list(targets)
        config = TrainingConfig(
            base_model="traced", batch_size=samples, max_length=length, target_modules=named, variant=method.variant
        )
        return prepare_text(
            network,
            config,
            DTYPES[method.bits],
            samples=samples,
            length=length,
            checkpointing=method.checkpointing,
        )

    return _trace(methods, TEXT_SAMPLES, lengths, prepare)


def choose_lengths(longest: int) -> list[int]:
    """Choose the lengths of the table up to the longest row that a model reads; two at least."""
    lengths = sorted({min(length, longest) for length in TEXT_LENGTHS})
    return lengths if len(lengths) > 1 else [max(1, longest // 2), max(2, longest)]


def trace_pictures(kind: Kind, unet: Mapping[str, Any], targets: Sequence[str], *, adapts_all: bool) -> TracedMemory:
    """Trace a UNet on cached latents. `adapts_all`: whether these targets are most of its linear layers."""
    methods = [
        TracedMethod(bits, adapts_all, checkpointing, variant)
        for variant, bits, checkpointing in product(VARIANTS, (16, 32), (False, True))
    ]

    def prepare(method: TracedMethod, samples: int, positions: int) -> TracedStep:
        config = TrainingConfig(
            base_model="traced",
            batch_size=samples,
            precision="bf16" if method.bits == AUTOCAST_BITS else "fp32",
            target_modules=list(targets),
            variant=method.variant,
        )
        return prepare_pictures(
            kind, unet, config, samples=samples, positions=positions, checkpointing=method.checkpointing
        )

    return _trace(methods, PICTURE_SAMPLES, PICTURE_SIZES, prepare, autocasts=True)


def _trace(
    methods: Iterable[TracedMethod],
    samples: Sequence[int],
    positions: Sequence[int],
    prepare: Prepare,
    *,
    autocasts: bool = False,
) -> TracedMemory:
    traced = [
        _trace_method(
            method,
            samples,
            positions,
            partial(prepare, method),
            autocast=torch.bfloat16 if autocasts and method.bits == AUTOCAST_BITS else None,
        )
        for method in methods
    ]
    return TracedMemory(samples=tuple(samples), positions=tuple(positions), methods=tuple(traced))


def _trace_method(
    method: TracedMethod,
    samples: Sequence[int],
    positions: Sequence[int],
    prepare: Callable[[int, int], TracedStep],
    *,
    autocast: torch.dtype | None,
) -> TracedBytes:
    peaks = [[measure_step(prepare(count, size), autocast) for size in positions] for count in samples]
    return TracedBytes(
        **vars(method),
        allocated=make_monotone([[peak.allocated for peak in row] for row in peaks]),
        reserved=make_monotone([[peak.reserved for peak in row] for row in peaks]),
    )


def measure_step(traced: TracedStep, autocast: torch.dtype | None = None) -> AllocatorPeak:
    """Measure what a step needs beside what stays, on a GPU that casts to `autocast` where a family asks for that."""
    with ExitStack() as stack:
        stack.enter_context(gpu_attention())
        stack.enter_context(gpu_norms())
        if autocast is not None:
            stack.enter_context(gpu_autocast(autocast))
        peak = replay(trace_step(traced, META))
    resident = count_resident(traced)
    return AllocatorPeak(peak.allocated - resident, peak.reserved - resident)


def make_monotone(rows: Sequence[Sequence[int]]) -> Grid:
    """Let no larger batch and no longer sample need less: a segment may fit one by chance."""
    made: list[tuple[int, ...]] = []
    for row in rows:
        before = made[-1] if made else (0,) * len(row)
        made.append(tuple(_accumulate(max(pair) for pair in zip(row, before, strict=True))))
    return tuple(made)


def _accumulate(values: Iterable[int]) -> Iterator[int]:
    most = 0
    for value in values:
        most = max(most, value)
        yield most
