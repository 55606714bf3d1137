"""Every shipped profile's count of adapter parameters, against real peft models on the meta device."""

from itertools import product

import pytest
import torch

from pricing.catalog import get_base_model, load_base_models
from pricing.training.adapter_parameters import count_adapter_parameters
from pricing.training.config import TrainingConfig
from trainer.base_models.peft_adapter import describe_adapter, name_targets, put_adapter_on
from trainer.families.stable_diffusion.adapter import ComponentAdapters
from trainer.profiles.catalogue import get_components, load_entries
from trainer.profiles.image_components import build_text_encoder
from trainer.profiles.image_network import build_image_network
from trainer.profiles.image_profile import TEXT_ENCODERS, TRAINED
from trainer.profiles.text_network import build_text_network, read_text_config

RANKS = (4, 16)
TEXT = [profile.name for profile in load_base_models().values() if profile.is_text]
RENAMED = [entry.name for entry in load_entries().values() if entry.names]
IMAGES = [profile.name for profile in load_base_models().values() if not profile.is_text]
IMAGE_TARGETS = (None, ("all-linear",), ("to_k", "to_v"))
QWEN = {  # by its config.json: hidden_size, intermediate_size, num_hidden_layers
    "qwen-1.8b": (2048, 11008, 24),
    "qwen-7b": (4096, 22016, 32),
    "qwen-14b": (5120, 27392, 40),
    "qwen-72b": (8192, 49152, 80),
}
GLM_LAYERS = {"chatglm2-6b": 28, "chatglm3-6b": 28, "glm-4-9b": 40}


def take_turns(*cases):
    """Give one case after the other the next rank: a wrong shape in a profile shows at either."""
    return [(*case, RANKS[place % len(RANKS)]) for place, case in enumerate(product(*cases))]


def list_smallest_of_each_class():
    """List the smallest text model of each class that transformers has for them, and of each set of usual modules."""
    sized = sorted(map(get_base_model, TEXT), key=lambda profile: -profile.parameters)
    entries = load_entries()
    found = {(entries[each.name].config["model_type"], each.default_target_modules): each.name for each in sized}
    return sorted(found.values())


def config_of(name, **keys):
    return TrainingConfig(base_model=name, **keys)


def count_trainable(model):
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_with_peft(build, config, targets):
    with torch.device("meta"):
        model = build()
        return count_trainable(put_adapter_on(model, describe_adapter(config, name_targets(model, targets), None)))


def build_text(name):
    """Build the transformers class; where the catalogue has the original names, a model of those modules."""
    entry = load_entries()[name]
    if entry.names:
        return OriginalModel(name)
    return build_text_network(read_text_config(entry.config)).model


class OriginalModel(torch.nn.Module):
    """The linear layers of a first Qwen or a ChatGLM2, 3 or 4 in the original layout, from their config.json."""

    def __init__(self, name):
        super().__init__()
        if name in QWEN:
            width, inner, layers = QWEN[name]
            self.layers = torch.nn.ModuleList(self.build_qwen_layer(width, inner // 2) for _ in range(layers))
        else:
            self.layers = torch.nn.ModuleList(self.build_glm_layer() for _ in range(GLM_LAYERS[name]))

    @staticmethod
    def build_qwen_layer(width, inner):
        linear = torch.nn.Linear
        attention = {"c_attn": linear(width, 3 * width), "c_proj": linear(width, width, bias=False)}
        mlp = {"w1": linear(width, inner), "w2": linear(width, inner), "c_proj": linear(inner, width)}
        return torch.nn.ModuleDict({"attn": torch.nn.ModuleDict(attention), "mlp": torch.nn.ModuleDict(mlp)})

    @staticmethod
    def build_glm_layer():
        linear = torch.nn.Linear
        attention = {"query_key_value": linear(4096, 4096 + 2 * 2 * 128), "dense": linear(4096, 4096, bias=False)}
        mlp = {"dense_h_to_4h": linear(4096, 2 * 13696), "dense_4h_to_h": linear(13696, 4096)}
        return torch.nn.ModuleDict({**attention, **mlp})


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rank"), take_turns(TEXT))
def test_text_models(name, rank):
    """All linear modules, whose shapes the usual ones have too."""
    check_text_model(name, rank, ("all-linear",))


@pytest.mark.slow
@pytest.mark.parametrize("name", list_smallest_of_each_class())
def test_usual_modules_of_text_models(name):
    check_text_model(name, 8, get_base_model(name).default_target_modules)


@pytest.mark.parametrize("name", ["qwen-1.8b", "chatglm2-6b", "tinyllama-1.1b"])
def test_some_text_models_in_every_run(name):
    for targets in (get_base_model(name).default_target_modules, ("all-linear",)):
        check_text_model(name, 8, targets)


def check_text_model(name, rank, targets):
    profile, config = get_base_model(name), config_of(name, lora_rank=rank, target_modules=targets)
    assert count_with_peft(lambda: build_text(name), config, targets) == count_adapter_parameters(profile, config)


def test_models_with_names_of_their_own_are_those_of_the_list_above():
    assert set(RENAMED) == QWEN.keys() | GLM_LAYERS.keys()


def build_components(name, *, with_text):
    components = get_components(load_entries()[name])
    trained = {"unet": build_image_network(next(components[name] for name in TRAINED if name in components)).model}
    if with_text:
        trained |= {name: build_text_encoder(components[name]) for name in TEXT_ENCODERS if name in components}
    return {name: model.requires_grad_(requires_grad=False) for name, model in trained.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "targets", "rank"), take_turns(IMAGES, IMAGE_TARGETS))
def test_image_models(name, targets, rank):
    profile = get_base_model(name)
    config = config_of(name, lora_rank=rank, target_modules=targets)
    with torch.device("meta"):
        components = build_components(name, with_text=False)
        adapters = ComponentAdapters.attach(components, config, profile.default_target_modules)
    assert count_trainable(adapters.model) == count_adapter_parameters(profile, config)


def test_sd15_in_every_run():
    test_image_models("sd-1.5", None, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sd-1.5", "sdxl-1.0"])
@pytest.mark.parametrize("targets", [None, ("all-linear",)])
def test_text_encoders_that_train_as_well(name, targets):
    profile = get_base_model(name)
    config = config_of(name, target_modules=targets, train_text_encoder=True)
    with torch.device("meta"):
        adapters = ComponentAdapters.attach(
            build_components(name, with_text=True), config, profile.default_target_modules
        )
    assert count_trainable(adapters.model) == count_adapter_parameters(profile, config)


def test_dora_and_lokr_count_as_peft_does():
    profile = get_base_model("smollm2-360m")
    for variant in ("dora", "lokr"):
        config = config_of(profile.name, variant=variant, target_modules=("q_proj", "down_proj"))
        trained = count_with_peft(lambda: build_text(profile.name), config, config.target_modules)
        assert trained == count_adapter_parameters(profile, config)
