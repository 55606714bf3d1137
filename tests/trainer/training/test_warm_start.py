"""`init_from` takes the files of every layout, under whatever alpha they were made."""

import pytest
import torch

from pricing.training.config import TrainingConfig
from trainer.errors import BadInput
from trainer.families.text.causal_lm import CausalLM
from trainer.formats.adapter import Adapter
from trainer.formats.peft_layout import read_peft
from trainer.formats.reading import Layout
from trainer.formats.writing import write_lora
from trainer.training.state import seed_generators
from trainer.training.warm_start import start_from_adapter

pytestmark = pytest.mark.slow

IDS = torch.tensor([[5, 6, 7, 8]])


def attach(tiny_source, **keys) -> tuple[CausalLM, TrainingConfig]:
    config = TrainingConfig(base_model="tiny", **({"lora_rank": 4, "lora_alpha": 8} | keys))
    seed_generators(1)
    family = CausalLM.load(tiny_source)
    family.attach_adapter(config)
    return family, config


@torch.inference_mode()
def logits_of(family: CausalLM) -> torch.Tensor:
    return family.model.eval()(input_ids=IDS).logits


@pytest.fixture
def trained(tiny_source) -> CausalLM:
    family, _ = attach(tiny_source)
    for parameter in family.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return family


def write(family: CausalLM, layout: Layout, folder, *, forget: bool):
    adapter = Adapter(family.adapter_tensors(), family.adapter_config(), {})
    lora = read_peft(adapter.tensors, {}, {key: adapter.config[key] for key in ("r", "lora_alpha")})
    file = write_lora(folder / f"{layout}.safetensors", lora, layout)
    if forget:  # as if another program had written it
        from safetensors.torch import load_file, save_file  # noqa: PLC0415

        save_file(load_file(file), file)
    return file


@pytest.mark.parametrize(("layout", "forget"), [(Layout.PEFT, False), (Layout.KOHYA, True), (Layout.KOHYA, False)])
@pytest.mark.parametrize("alpha", [8, 16])
def test_the_warm_started_model_says_what_the_file_says(trained, tiny_source, tmp_path, layout, forget, alpha) -> None:
    file = write(trained, layout, tmp_path, forget=forget)
    family, config = attach(tiny_source, lora_alpha=alpha, init_from=str(file))
    start_from_adapter(family, config, "tiny-llama")
    torch.testing.assert_close(logits_of(family), logits_of(trained), rtol=1e-5, atol=1e-5)


def test_another_rank_or_other_modules_are_named(trained, tiny_source, tmp_path) -> None:
    file = write(trained, Layout.KOHYA, tmp_path, forget=True)
    family, config = attach(tiny_source, lora_rank=2, target_modules=["q_proj"], init_from=str(file))
    with pytest.raises(BadInput, match=r"its rank is 4; set lora_rank: 4 .*its modules are q_proj, v_proj"):
        start_from_adapter(family, config, "tiny-llama")
