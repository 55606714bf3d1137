"""diffusers itself loads what we export, and draws with it exactly what peft computes from the original."""

import json

import peft
import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from trainer.formats.adapter import Adapter
from trainer.formats.lora_set import LoraSet
from trainer.formats.peft_layout import read_peft
from trainer.formats.reading import Layout, load_adapter_any
from trainer.formats.writing import write_lora

LATENTS, TIME, TEXT = torch.ones(1, 4, 8, 8), torch.tensor([5]), torch.ones(1, 7, 32) / 8
IDS = torch.tensor([[1, 2, 3, 4]])
TARGETS = ["to_q", "to_v", "to_out.0", "ff.net.0.proj", "proj_in", "q_proj", "v_proj", "out_proj", "fc1"]
PATTERNS = {"alpha_pattern": {"to_q": 2}, "rank_pattern": {"to_q": 2}}
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


class Bundle(torch.nn.Module):
    """The models of a pipeline side by side, so that one peft adapter can lie on both."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.unet = UNet2DConditionModel(
            block_out_channels=(32, 64),
            layers_per_block=1,
            sample_size=8,
            cross_attention_dim=32,
            attention_head_dim=8,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=32,
                intermediate_size=37,
                num_hidden_layers=2,
                num_attention_heads=4,
                vocab_size=64,
                bos_token_id=0,
                eos_token_id=1,
                pad_token_id=1,
            )
        )


@torch.inference_mode()
def outputs(unet, text_encoder) -> tuple[torch.Tensor, torch.Tensor]:
    return unet(LATENTS, TIME, TEXT).sample, text_encoder(IDS).last_hidden_state


def make_pipeline(bundle: Bundle) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=None,
        text_encoder=bundle.text_encoder,
        tokenizer=None,
        unet=bundle.unet,
        scheduler=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@pytest.fixture(params=[{}, {"use_rslora": True}, PATTERNS], ids=["plain", "rslora", "patterns"])
def trained(request):
    """Return an adapter on both models with both matrices random, and what it makes of fixed inputs."""
    config = peft.LoraConfig(r=4, lora_alpha=16, target_modules=TARGETS, **request.param)
    model = peft.get_peft_model(Bundle(), config).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.2)
    described = json.loads(json.dumps(config.to_dict(), default=sorted))
    tensors = {as_we_name(name): tensor for name, tensor in peft.get_peft_model_state_dict(model).items()}
    return Adapter(tensors, described, {}), outputs(model.base_model.model.unet, model.base_model.model.text_encoder)


def as_we_name(name: str) -> str:
    return name.replace("model.unet.", "model.").replace("text_encoder.encoder.", "text_encoder.text_model.encoder.")


@pytest.mark.parametrize("layout", [Layout.KOHYA, Layout.DIFFUSERS])
def test_load_lora_weights_gives_the_outputs_of_peft(trained, layout, tmp_path) -> None:
    adapter, expected = trained
    if layout is Layout.KOHYA and adapter.config["alpha_pattern"]:
        pytest.skip("diffusers 0.42 takes the attention's own alphas from no kohya file, sd-scripts' included")
    bundle = Bundle().eval()
    untrained = outputs(bundle.unet, bundle.text_encoder)
    file = write_lora(tmp_path / "style.safetensors", read_peft(adapter.tensors, {}, adapter.config), layout)
    pipeline = make_pipeline(bundle)
    pipeline.load_lora_weights(str(tmp_path), weight_name=file.name)
    for before, got, want in zip(untrained, outputs(pipeline.unet, pipeline.text_encoder), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(before, want, atol=1e-3)


def test_what_diffusers_saves_is_read(trained, tmp_path) -> None:
    adapter, _ = trained
    bundle = Bundle()
    pipeline = make_pipeline(bundle)
    file = write_lora(tmp_path / "a.safetensors", read_peft(adapter.tensors, {}, adapter.config), Layout.DIFFUSERS)
    pipeline.load_lora_weights(str(tmp_path), weight_name=file.name, adapter_name="style")
    unet = peft.get_peft_model_state_dict(bundle.unet, adapter_name="style")
    text = peft.get_peft_model_state_dict(bundle.text_encoder, adapter_name="style")
    pipeline.save_lora_weights(
        str(tmp_path / "saved"),
        unet_lora_layers=unet,
        text_encoder_lora_layers=text,
        unet_lora_adapter_metadata=bundle.unet.peft_config["style"].to_dict(),
        text_encoder_lora_adapter_metadata=bundle.text_encoder.peft_config["style"].to_dict(),
    )
    read = load_adapter_any(tmp_path / "saved")
    assert read.tensors.keys() == adapter.tensors.keys()
    before = read_peft(adapter.tensors, {}, adapter.config).layers
    after = {layer.name: layer for layer in read_peft(read.tensors, {}, read.config).layers}
    assert all(torch.equal(layer.down, after[layer.name].down) for layer in before)
    assert all(layer.scale == pytest.approx(after[layer.name].scale) for layer in before)


def test_plain_peft_puts_the_unet_of_our_file_on_a_unet(trained, tmp_path) -> None:
    adapter, (expected, _) = trained
    lora = read_peft(adapter.tensors, {}, adapter.config)
    unet_only = LoraSet([layer for layer in lora.layers if layer.component == "unet"], lora.config)
    file = write_lora(tmp_path / "p.safetensors", unet_only, Layout.PEFT)
    read = load_adapter_any(file)
    model = peft.get_peft_model(Bundle().unet, peft.LoraConfig(**read.config)).eval()
    assert peft.set_peft_model_state_dict(model, read.tensors).unexpected_keys == []
    with torch.inference_mode():
        assert torch.equal(model(LATENTS, TIME, TEXT).sample, expected)
