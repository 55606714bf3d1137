"""Which architecture a file holds, and its configuration by the shapes of its weights."""

import pytest
import torch

from trainer.families.stable_diffusion.configs import (
    NotThisArchitecture,
    derive_configs,
    get_config,
    recognise,
)
from trainer.families.stable_diffusion.layout import COMPONENTS, to_original_layout
from trainer.families.stable_diffusion.weights import _build


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def real_shapes(request):
    """Return the keys and shapes of the real model, built on the meta device."""
    kind = request.param
    with torch.device("meta"):
        parts = {component: _build(component, get_config(kind, component)) for component in COMPONENTS[kind]}
        shapes = {key: tuple(tensor.shape) for key, tensor in to_original_layout(kind, parts).items()}
    return kind, shapes


def test_the_real_shapes_give_the_published_configuration(real_shapes) -> None:
    kind, shapes = real_shapes
    assert recognise(shapes) == kind
    derived = derive_configs(kind, shapes)
    assert derived == {component: get_config(kind, component) for component in COMPONENTS[kind]}


def test_the_real_parameter_counts_are_the_known_ones(real_shapes) -> None:
    kind, shapes = real_shapes
    unet = sum(torch.Size(shape).numel() for key, shape in shapes.items() if key.startswith("model.diffusion_model."))
    assert unet == {"sd15": 859_520_964, "sdxl": 2_567_463_684}[kind]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"lora_unet_x.lora_down.weight": (4, 4)}, "an adapter, not a base model"),
        ({"model.diffusion_model.joint_blocks.0.x": (4,)}, "SD 3 or FLUX"),
        ({"cond_stage_model.model.ln_final.weight": (1024,)}, "Stable Diffusion 2"),
        ({"conditioner.embedders.0.model.ln_final.weight": (1280,)}, "the SDXL refiner"),
        ({"down_blocks.0.resnets.0.conv1.weight": (4, 4, 3, 3)}, "one component of a diffusers folder"),
        ({"something": (4,)}, r"neither SD 1\.5 nor SDXL .*something"),
        ({}, "no tensor at all"),
        (
            {
                "model.diffusion_model.input_blocks.0.0.weight": (320, 9, 3, 3),
                "cond_stage_model.transformer.text_model.x": (1,),
            },
            "9 input channels",
        ),
    ],
)
def test_another_architecture_is_told(keys, message) -> None:
    with pytest.raises(NotThisArchitecture, match=message):
        recognise(keys)


def test_an_incomplete_file_is_told() -> None:
    shapes = {
        "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
        "cond_stage_model.transformer.text_model.x": (1,),
    }
    with pytest.raises(NotThisArchitecture, match=r"incomplete: model\.diffusion_model\.input_blocks\.1\.0"):
        derive_configs("sd15", shapes)
