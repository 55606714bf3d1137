"""diffusers loads what we export of an adapter trained on SDXL, and computes with it what the training did."""

import json

import pytest
import torch

from pricing.training.config import TrainingConfig
from trainer.base_models.config import BaseModelSource
from trainer.base_models.diffusers_quiet import diffusers
from trainer.families.stable_diffusion.stable_diffusion import StableDiffusion
from trainer.formats.adapter import Adapter
from trainer.formats.reading import Layout, read_lora
from trainer.formats.writing import write_lora
from trainer.training.adapter_file import write_adapter

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
IDS = torch.tensor([[49406, 320, 2368, 49407]])


@pytest.fixture
def trained(tiny_sdxl) -> StableDiffusion:
    """Matrices on the UNet and both text encoders, all of them random."""
    family = StableDiffusion.load(BaseModelSource("tiny-sdxl", tiny_sdxl))
    torch.manual_seed(4)
    family.attach_adapter(TrainingConfig(base_model="tiny-sdxl", lora_rank=4, train_text_encoder=True))
    for parameter in family.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.2)
    family.model.eval()
    return family


@torch.inference_mode()
def compute(unet, text_encoder, text_encoder_2) -> list[torch.Tensor]:
    config = unet.config
    widths = (config.cross_attention_dim, config.projection_class_embeddings_input_dim)
    time_ids = torch.ones(1, 6)
    pooled = torch.ones(1, widths[1] - 6 * config.addition_time_embed_dim) / 8
    added = {"text_embeds": pooled, "time_ids": time_ids}
    noisy, text = torch.ones(1, 4, 16, 16), torch.ones(1, 7, widths[0]) / 8
    drawn = unet(noisy, torch.tensor([5]), encoder_hidden_states=text, added_cond_kwargs=added, return_dict=False)[0]
    return [drawn, text_encoder(IDS).last_hidden_state, text_encoder_2(IDS).last_hidden_state]


@pytest.mark.slow
@pytest.mark.parametrize("layout", [Layout.KOHYA, Layout.DIFFUSERS])
def test_load_lora_weights_gives_what_was_trained(trained, tiny_sdxl, layout, tmp_path) -> None:
    config = json.loads(json.dumps(trained.adapter_config()))
    ours = write_adapter(tmp_path / "ours", Adapter(trained.adapter_tensors(), config, {}))
    file = write_lora(tmp_path / "style.safetensors", read_lora(ours)[0], layout)
    pipeline = diffusers.StableDiffusionXLPipeline.from_pretrained(tiny_sdxl)
    parts = ("unet", "text_encoder", "text_encoder_2")
    bare = compute(*(getattr(pipeline, name) for name in parts))
    pipeline.load_lora_weights(str(tmp_path), weight_name=file.name)
    loaded = compute(*(getattr(pipeline, name) for name in parts))
    expected = compute(*(trained.adapters.components[name] for name in parts))
    for name, before, got, want in zip(parts, bare, loaded, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
        assert not torch.allclose(before, want, atol=1e-3)
