"""Another alpha, the same change."""

import pytest
import torch

from trainer.formats.adapter import Adapter
from trainer.formats.peft_layout import read_peft
from trainer.formats.rescaling import rescale_tensors

STEM = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [({"lora_alpha": 8}, {"lora_alpha": 16}), ({"lora_alpha": 0.5}, {"lora_alpha": 3, "use_rslora": True})],
)
def test_what_alpha_loses_the_up_matrix_gains(theirs, ours) -> None:
    tensors = {f"{STEM}.lora_A.weight": torch.randn(4, 6), f"{STEM}.lora_B.weight": torch.randn(5, 4)}
    (before,) = read_peft(tensors, {}, theirs).layers
    (after,) = read_peft(rescale_tensors(Adapter(tensors, theirs, {}), ours), {}, ours).layers
    torch.testing.assert_close(after.scale * after.up @ after.down, before.scale * before.up @ before.down)
    assert after.scale != before.scale


def test_another_kind_of_adapter_is_left_as_it_is() -> None:
    tensors = {"base_model.model.a.lokr_w1": torch.ones(2, 2)}
    assert rescale_tensors(Adapter(tensors, {"peft_type": "LOKR"}, {}), {"r": 4}) is tensors
