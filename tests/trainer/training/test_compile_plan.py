"""Compiling: decided by the estimate of the whole job, and the same losses and gradients."""

import pytest
import torch

from pricing.datasets.text_rows import EncodedRow
from pricing.training.config import TrainingConfig
from trainer.base_models.config import BaseModelSource, resolve_base_model
from trainer.families.text.causal_lm import CausalLM
from trainer.kernels.fused_layers import fuse_norm, is_norm
from trainer.kernels.narrow_adapter import is_plain_lora, narrow
from trainer.machine.accelerator import Accelerator
from trainer.training.compile_plan import find_step_seconds, plan_compiling

H100 = Accelerator("cuda", "NVIDIA H100 80GB HBM3", (9, 0), has_bf16=True)
CONFIG = TrainingConfig(base_model="smollm2-135m-instruct", batch_size=8)


@pytest.mark.parametrize(("steps", "kernel"), [(100, "eager"), (1_000_000, "compile")])
def test_a_long_job_is_compiled_and_a_short_one_is_not(steps, kernel) -> None:
    source = resolve_base_model(CONFIG.base_model)
    seconds = find_step_seconds(H100, CONFIG, source, longest=512, family=CausalLM)
    choice = plan_compiling(H100, steps=steps, step_seconds=seconds)
    assert choice.kernel == kernel
    assert f"{steps} steps of 0." in choice.reason


def test_on_a_gpu_that_the_catalogue_does_not_know_nothing_is_compiled() -> None:
    unknown = Accelerator("cuda", "Some Card", (9, 0), has_bf16=True)
    source = BaseModelSource("x", resolve_base_model(CONFIG.base_model).weights)
    seconds = find_step_seconds(unknown, CONFIG, source, longest=512, family=CausalLM)
    choice = plan_compiling(unknown, steps=10**6, step_seconds=seconds)
    assert (choice.kernel, choice.reason) == ("eager", "nothing is known of how long a step takes")


@pytest.mark.filterwarnings("ignore")  # torch warns of what its own compiler does
def test_compiled_blocks_give_the_same_loss_and_gradients(tiny_source, monkeypatch) -> None:
    """With the kernels of a GPU as far as a CPU has them; the compiler's own back end is left out."""
    monkeypatch.setattr("trainer.families.text.causal_lm.use_llama_layers", lambda _: False)
    torch.manual_seed(0)
    family = CausalLM.load(tiny_source)
    family.attach_adapter(TrainingConfig(base_model="tiny", lora_rank=4))
    for module in list(family.model.modules()):
        if is_norm(module):
            module.forward = fuse_norm(module)
        if is_plain_lora(module):
            narrow(module)
            torch.nn.init.normal_(module.lora_B["default"].weight, std=0.3)
    rows = [EncodedRow(list(range(10 * n, 10 * n + 4 + n)), prompt_length=2) for n in range(1, 5)]

    def differentiate() -> list[torch.Tensor]:
        family.model.zero_grad()
        loss = family.compute_loss(family.collate(rows))
        loss.backward()
        return [loss.detach(), *(p.grad for p in family.model.parameters() if p.requires_grad)]

    expected = differentiate()
    family.compile_blocks(backend="eager")
    for ours, theirs in zip(differentiate(), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
