"""Which kernel a described device gets, and why: no device is asked."""

import pytest
import torch

from trainer.kernels.choice import (
    choose_adapters,
    choose_compiling,
    choose_head_loss,
    choose_layout,
    choose_norms,
    choose_row_attention,
)
from trainer.machine.accelerator import AMPERE_GPU, Accelerator, describe_accelerator

CPU = Accelerator("cpu")
T4 = Accelerator("cuda", "Tesla T4", (7, 5))
H100 = Accelerator("cuda", "NVIDIA H100 80GB HBM3", (9, 0), has_bf16=True)
BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32


@pytest.mark.parametrize(
    ("at", "dtype", "width", "has_varlen", "kernel", "reason"),
    [
        (H100, BF16, 128, True, "varlen", "one call"),
        (H100, FP16, 256, True, "varlen", "one call"),
        (H100, BF16, 128, False, "rows", "has no torch.nn.attention.varlen"),
        (H100, FP32, 128, True, "rows", "takes 16 bit"),
        (H100, BF16, 512, True, "rows", "heads of up to 256"),
        (T4, FP16, 64, True, "rows", "Tesla T4 is older"),
        (CPU, BF16, 64, True, "rows", "for GPUs"),
    ],
)
def test_rows_attend_in_one_call_where_flash_attention_takes_them(at, dtype, width, has_varlen, kernel, reason) -> None:
    choice = choose_row_attention(at, dtype, width, has_varlen=has_varlen)
    assert choice.kernel == kernel
    assert reason in choice.reason


def test_adapters_multiply_in_16_bit_on_a_gpu_only() -> None:
    chosen = [choose_adapters(at, dtype).kernel for at in (H100, T4, CPU) for dtype in (BF16, FP16, FP32)]
    assert chosen == ["narrow", "narrow", "stock"] * 2 + ["stock"] * 3


def test_libraries_are_taken_where_they_are_and_torchs_own_where_not() -> None:
    assert [choose_norms(H100, has_liger=there).kernel for there in (True, False)] == ["liger", "fused"]
    assert [choose_head_loss(H100, has_liger=there).kernel for there in (True, False)] == ["liger", "positions"]
    assert (choose_norms(CPU, has_liger=True).kernel, choose_head_loss(CPU, has_liger=True).kernel) == (
        "stock",
        "vocabulary",
    )


def test_channels_lie_last_for_tensor_cores() -> None:
    assert choose_layout(H100, BF16).kernel == choose_layout(T4, FP16).kernel == "channels_last"
    assert choose_layout(H100, FP32).kernel == choose_layout(CPU, BF16).kernel == "stock"


@pytest.mark.parametrize(("steps", "kernel"), [(400, "eager"), (1200, "eager"), (1201, "compile")])
def test_compiling_must_save_twice_what_it_takes(steps, kernel) -> None:
    choice = choose_compiling(H100, steps=steps, step_seconds=0.5, gain=0.2, compile_seconds=60)
    assert choice.kernel == kernel
    assert f"{steps} steps of 0.500 s save about {steps * 0.1:.0f} s; compiling takes 60 s" in choice.reason


def test_nothing_is_compiled_on_a_cpu_or_without_knowing_the_step() -> None:
    keys = {"steps": 10**6, "gain": 0.2, "compile_seconds": 60}
    assert choose_compiling(CPU, step_seconds=1.0, **keys).kernel == "eager"
    assert choose_compiling(H100, step_seconds=None, **keys).kernel == "eager"


def test_the_meta_device_stands_for_what_is_traced_and_the_cpu_for_itself(monkeypatch) -> None:
    assert not describe_accelerator(torch.device("meta")).is_gpu
    monkeypatch.setattr("trainer.machine.accelerator.TRACED", AMPERE_GPU)
    assert describe_accelerator(torch.device("meta")).is_gpu
    assert describe_accelerator(torch.device("cpu")) == CPU
