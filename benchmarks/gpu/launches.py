"""How many kernels a step launches, ours beside the peer's, and where each waits: counted without a GPU.

A launch takes the host some microseconds, whatever it computes: of small models it is most of a step. Counted are the
operators that reach the device, as PyTorch hands them out, but for those that only look at memory another way. Ours
runs on torch's meta device with the kernels that a GPU of NVIDIA's Ampere generation has; the peer is peft on
transformers' model under autocast, with the mask and loss that `transformers.Trainer` gives it.
"""

from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu.figures import Figure, RowResult
from benchmarks.gpu.peer_text import collate
from benchmarks.gpu.text_models import RANK, SMALL, TARGETS, OurText, TextJob, build_model, make_config, make_network
from benchmarks.gpu.where import Place
from trainer.base_models.transformers_quiet import peft
from trainer.machine.accelerator import AMPERE_GPU
from trainer.tracing.gpu_attention import gpu_attention
from trainer.tracing.gpu_autocast import gpu_autocast
from trainer.tracing.gpu_norms import gpu_norms

META = Place(torch.device("meta"), is_rehearsal=True)
LAYERS = 8
LENGTHS = (700, 90, 300, 64, 500, 128, 256, 40)
LOOKS = ("view", "reshape", "transpose", "permute", "expand", "slice", "select", "split", "unbind", "as_strided")
LOOKS += ("unsqueeze", "squeeze", "unflatten", "t.default", "detach", "alias")
WITHOUT_KERNEL = (*LOOKS, "empty", "new_empty", "lift_fresh")
NORMS = 2  # of a layer; on the meta device they stand in by their memory alone: one kernel forward, one back
WAITS = ("_local_scalar_dense", "nonzero", "is_nonzero")


class LaunchCount(TorchDispatchMode):
    """Counts the operators that compute something, and those that the host would wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.launches = self.waits = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = str(func).removeprefix("aten.")
        on_device = [value for value in torch.utils._pytree.tree_iter((args, kwargs)) if torch.is_tensor(value)]  # noqa: SLF001
        if name.startswith(WAITS) and on_device[0].is_meta:
            self.waits += 1
            return on_device[0].dtype is not torch.bool
        result = func(*args, **(kwargs or {}))
        made = [value for value in torch.utils._pytree.tree_iter(result) if torch.is_tensor(value)]  # noqa: SLF001
        if any(value.is_meta for value in (*on_device, *made)) and not name.startswith(WITHOUT_KERNEL):
            self.launches += 1
        return result


def measure(_: Place) -> RowResult:
    with patch("trainer.machine.accelerator.TRACED", AMPERE_GPU):
        return compare_sides()


def compare_sides() -> RowResult:
    job = TextJob("launches", "launches", SMALL, LENGTHS)
    layers = SMALL["num_hidden_layers"]
    ours, peer = count_ours(job), count_peer(job)
    per_layer = (
        f"{ours.launches / layers:.0f} against {peer.launches / layers:.0f} for each layer, loss and head shared"
    )
    return RowResult(
        "launches",
        [
            Figure(
                "forward and back: launches of the peer over ours",
                peer.launches / ours.launches,
                "times",
                per_layer,
                1.5,
                "higher",
            ),
            Figure("waits for the device", ours.waits, "in a step", f"the peer's loss and mask: {peer.waits}", 0.0),
        ],
    )


def count_ours(job: TextJob) -> LaunchCount:
    model = build_model(META, make_network(job.shape), torch.bfloat16)
    ours = OurText(META, model, make_config(META, job))
    batch = ours.family.collate(job.make_rows())
    with gpu_attention(), gpu_norms(), LaunchCount() as count:
        ours.family.compute_loss(batch).backward()
    count.launches += 2 * (NORMS * job.shape["num_hidden_layers"] + 1)
    return count


def count_peer(job: TextJob) -> LaunchCount:
    model = build_model(META, make_network(job.shape), torch.bfloat16)
    lora = peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(TARGETS), task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(model, lora)
    batch = {name: value.to("meta") for name, value in collate(job.make_rows()).items()}
    with gpu_attention(), gpu_autocast(torch.bfloat16, norms_in_32_bit=False), LaunchCount() as count:
        adapted(**batch, use_cache=False).loss.backward()
    return count
