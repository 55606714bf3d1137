"""Which kernel computes what, and why: decided by the device, the number format and the sizes alone. Pure.

Each choice has a fall-back that runs everywhere. What is chosen here is still tried on a few random numbers before it
trains (`trial`), and left where its answer is not the fall-back's.
"""

from dataclasses import dataclass

import torch

from trainer.machine.accelerator import AMPERE, Accelerator

HALF = frozenset({torch.float16, torch.bfloat16})
WIDEST_FLASH_HEAD = 256
COMPILING_MARGIN = 2.0
REPLAYING = "reduce-overhead"  # the mode of `torch.compile` that records CUDA graphs and replays them
STEPS_OF_A_SHAPE = 50  # that a recorded graph should at least be replayed in


@dataclass(frozen=True)
class Choice:
    """What computes it, and the reason in words, for the log."""

    kernel: str
    reason: str


def choose_row_attention(at: Accelerator, dtype: torch.dtype, head_width: int, *, has_varlen: bool) -> Choice:
    """Choose how rows that lie end to end attend: `varlen`, one call for all rows, or `rows`, SDPA's call for each.

    Source: torch.nn.attention.varlen calls flash attention: Ampere or later, 16 bit, heads of up to 256.
    """
    if not at.is_gpu:
        return Choice("rows", "flash attention over many rows is for GPUs")
    if not has_varlen:
        return Choice("rows", f"torch {torch.__version__} has no torch.nn.attention.varlen")
    if at.generation < AMPERE:
        return Choice("rows", f"{at.name} is older than flash attention's kernels")
    if dtype not in HALF or head_width > WIDEST_FLASH_HEAD:
        return Choice("rows", f"flash attention takes 16 bit and heads of up to {WIDEST_FLASH_HEAD}")
    return Choice("varlen", "flash attention takes all rows of a batch in one call")


def choose_adapters(at: Accelerator, dtype: torch.dtype) -> Choice:
    """Choose how adapters multiply: `narrow`, in the base's 16 bit into the base's answer, or `stock`, as peft does.

    peft copies each input into 32 bit and keeps the copy; on a GPU that is most of what a step keeps.
    """
    if at.is_gpu and dtype in HALF:
        return Choice("narrow", "adapters multiply in the base's 16 bit, without a copy of their input in 32")
    return Choice("stock", "the base is in 32 bit or on a CPU, where peft's products are exact")


def choose_norms(at: Accelerator, *, has_liger: bool) -> Choice:
    """Choose how norms and gates compute: by `liger` kernels, torch's `fused` norm, or the model's own `stock`."""
    if not at.is_gpu:
        return Choice("stock", "fused kernels are for GPUs")
    if has_liger:
        return Choice("liger", "liger-kernel fuses norms and gates")
    return Choice("fused", "torch fuses a norm into one kernel; liger-kernel, which fuses more, is not installed")


def choose_head_loss(at: Accelerator, *, has_liger: bool) -> Choice:
    """Choose how the loss behind the output layer is taken: by `liger`, `positions`, or parts of the `vocabulary`."""
    if not at.is_gpu:
        return Choice("vocabulary", "a part's weights stay in the CPU's cache")
    if has_liger:
        return Choice("liger", "liger-kernel takes softmax and its gradient in one pass")
    return Choice("positions", "a GPU wants few and large products; liger-kernel is not installed")


def choose_layout(at: Accelerator, dtype: torch.dtype) -> Choice:
    """Choose how pictures lie in memory: `channels_last`, as tensor cores read them, or `stock`.

    Source: NVIDIA, "Convolutional Layers User's Guide", tensor layouts: others are turned round before each product.
    """
    if at.is_gpu and dtype in HALF:
        return Choice("channels_last", "tensor cores take convolutions in 16 bit with the channels last")
    return Choice("stock", "no tensor cores are used")


def choose_compiling(
    at: Accelerator, *, steps: int, step_seconds: float | None, gain: float, compile_seconds: float
) -> Choice:
    """Choose whether to `compile`: where what it saves over the whole job is twice what it takes, else `eager`.

    All steps of the plan count, also those that were done before a resume, so that a resumed run makes the same choice.
    Units: seconds; `gain` is the share of a step that compiling saves.
    """
    if not at.is_gpu:
        return Choice("eager", "compiling is for GPUs")
    if step_seconds is None:
        return Choice("eager", "nothing is known of how long a step takes")
    saved, least = steps * step_seconds * gain, COMPILING_MARGIN * compile_seconds
    said = f"{steps} steps of {step_seconds:.3f} s save about {saved:.0f} s; compiling takes {compile_seconds:.0f} s"
    return Choice("compile" if saved > least else "eager", said)


def choose_graphs(
    *,
    shapes: int,
    processes: int,
    steps: int,
    step_seconds: float | None,
    gain: float,
    trial_seconds: float,
) -> Choice:
    """Choose whether compiled blocks `try` to be replayed as CUDA graphs, or stay `plain`.

    `shapes`: how many shapes the batches have; 0 where every batch may have one of its own. Units: seconds; `gain` is
    the share of a step that graphs save at least where they are taken.
    """
    if not shapes:
        return Choice("plain", "a graph is of one shape, and the lengths of rows vary")
    if processes > 1:
        return Choice("plain", "each of several processes would choose for itself")
    if steps < STEPS_OF_A_SHAPE * shapes:
        return Choice("plain", f"{shapes} shapes in {steps} steps repeat too seldom")
    saved, least = steps * (step_seconds or 0.0) * gain, COMPILING_MARGIN * trial_seconds
    said = f"{steps} steps save at least {saved:.0f} s where graphs do; their trial takes {trial_seconds:.0f} s"
    return Choice("try" if saved > least else "plain", said)
