"""Every layer of both UNets has its name of the release, by another account than the one that the model files go by."""

import pytest
import torch

from trainer.families.stable_diffusion.configs import get_config
from trainer.families.stable_diffusion.layout import name_unet_key
from trainer.families.stable_diffusion.weights import _build
from trainer.formats.native_names import rename_native


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
@pytest.mark.parametrize("prefix", ["", "diffusion_model."], ids=["ORIGINAL", "COMFY"])
def test_each_layer_of_a_unet_is_found_by_its_name_of_the_release(kind, prefix) -> None:
    config = get_config(kind, "unet")
    with torch.device("meta"):
        unet = _build("unet", config)
    layers = [name for name, of in unet.named_modules() if isinstance(of, torch.nn.Linear | torch.nn.Conv2d)]
    native = {
        path: name_unet_key(f"{path}.weight", config).removeprefix("model.diffusion_model.").removesuffix(".weight")
        for path in layers
    }
    tensor = torch.zeros(1)
    renamed = rename_native({f"{prefix}{name}.lora_A.weight": tensor for name in native.values()})
    assert set(renamed) == {f"unet.{path}.lora_A.weight" for path in layers}
    assert len(renamed) == len(layers) > 250


def test_what_is_not_all_of_the_release_stays_as_it_is() -> None:
    tensors = {"diffusion_model.input_blocks.1.0.in_layers.2.alpha": torch.ones(1), "lora_te_x.alpha": torch.ones(1)}
    assert rename_native(tensors) == tensors
    assert rename_native({}) == {}
