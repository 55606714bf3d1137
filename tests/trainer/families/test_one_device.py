"""A step of every family is made on the model's device alone, and waits for it nowhere.

On the meta device, which stands for a GPU here where kernels are chosen: by itself it mixes devices in silence.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from transformers import GlmConfig, LlamaConfig

from pricing.datasets.text_rows import EncodedRow
from pricing.training.config import TrainingConfig
from tests.trainer.one_device import MixedDevices, OneDevice
from trainer.base_models.transformers_quiet import transformers
from trainer.data.tensor_cache import TensorCache
from trainer.families.chatglm.chatglm import ChatGLM
from trainer.families.stable_diffusion.batch import ImageExample
from trainer.families.stable_diffusion.clip_text import Caption
from trainer.families.stable_diffusion.configs import get_config
from trainer.families.stable_diffusion.inputs import make_embedding_key
from trainer.families.stable_diffusion.stable_diffusion import StableDiffusion
from trainer.families.stable_diffusion.weights import BaseWeights, _build
from trainer.families.text.causal_lm import CausalLM
from trainer.machine.accelerator import AMPERE_GPU
from trainer.tracing.gpu_attention import gpu_attention
from trainer.tracing.gpu_autocast import gpu_autocast
from trainer.training.evaluation import measure_loss
from trainer.training.optimizer_step import Stepper, create_scaler
from trainer.training.optimizers import create_optimizer

META = torch.device("meta")


@pytest.fixture(autouse=True)
def _kernels_of_a_gpu(monkeypatch) -> None:
    monkeypatch.setattr("trainer.machine.accelerator.TRACED", AMPERE_GPU)


NETWORK = {"hidden_size": 64, "intermediate_size": 160, "num_attention_heads": 4, "num_key_value_heads": 2}
NETWORK |= {"vocab_size": 300, "num_hidden_layers": 2, "max_position_embeddings": 4096, "pad_token_id": 0}
UNET = {
    "block_out_channels": [32, 64],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 8,
}
CLIP = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
CAPTION = Caption((49406, 320, 49407))
SHARED = list(range(3, 20))
ROWS = [EncodedRow([*SHARED, *range(30, 40 + 5 * number)], prompt_length=18) for number in range(3)]
LONG = [EncodedRow([number, *range(1, 700)], prompt_length=2) for number in range(3)]


@dataclass(frozen=True)
class MetaWeights(BaseWeights):
    """A base model of which there are the configurations alone."""

    def load(self, component: str) -> torch.nn.Module:
        with META:
            model = _build(component, self.configs[component])
        return model.requires_grad_(requires_grad=False).eval()


def make_text(family, network, dtype):
    with META:
        model = transformers.AutoModelForCausalLM.from_config(
            network(**NETWORK), dtype=dtype, attn_implementation="sdpa"
        ).requires_grad_(requires_grad=False)
    return family(model, SimpleNamespace(), META)


def make_pictures(kind, config, tmp_path):
    unet = get_config(kind, "unet") | UNET
    unet |= {"cross_attention_dim": 32 if kind == "sd15" else 64}
    if kind == "sdxl":
        unet |= {"transformer_layers_per_block": 1, "attention_head_dim": 8, "addition_time_embed_dim": 8}
        unet |= {"projection_class_embeddings_input_dim": 6 * 8 + 32}
    configs = {"unet": unet, "vae": get_config(kind, "vae")}
    encoders = ("text_encoder", "text_encoder_2") if kind == "sdxl" else ("text_encoder",)
    for name in encoders:
        configs[name] = get_config(kind, name) | CLIP | {"projection_dim": 32}
    family = StableDiffusion(MetaWeights(tmp_path, kind, configs, get_config(kind, "scheduler")), config, META)
    family._cache = TensorCache(tmp_path / "cache")
    family._encoders_key = "" if config.train_text_encoder else "encoders"
    for number in range(2):
        moments = torch.zeros(8, 8, 8 + 8 * number)
        family._cache.put(f"{number}{'0' * 63}", {"moments": moments, "geometry": torch.zeros(6)})
    width = unet["cross_attention_dim"]
    key = make_embedding_key(CAPTION, family._encoders_key, config.clip_skip)
    family._cache.put(key, {"hidden": torch.zeros(77, width), "pooled": torch.zeros(32 if kind == "sdxl" else 0)})
    examples = [ImageExample(f"{n}{'0' * 63}", CAPTION, 1.0, (8, 8 + 8 * n)) for n in range(2)]
    return family, examples


def take_step(family, config, examples) -> OneDevice:
    family.model.train()
    trainable = [parameter for parameter in family.model.parameters() if parameter.requires_grad]
    assert {parameter.device.type for parameter in family.model.parameters()} == {"meta"}
    stepper = Stepper(
        family, create_optimizer(config, trainable), trainable, config.batch_size, create_scaler(family.model)
    )
    with gpu_attention(), OneDevice() as mode:
        stepper.take_step(examples, step=1)
    assert {parameter.grad.device.type for parameter in trainable if parameter.grad is not None} == {"meta"}
    return mode


@pytest.mark.parametrize(("family", "network"), [(CausalLM, LlamaConfig), (ChatGLM, GlmConfig)])
@pytest.mark.parametrize("rows", [ROWS, LONG, ROWS[:1]], ids=["shared prefix", "long", "one row"])
@pytest.mark.parametrize("keys", [{}, {"gradient_checkpointing": True, "gradient_accumulation": 2}])
def test_a_step_of_text_stays_on_its_device_and_waits_nowhere(family, network, rows, keys) -> None:
    config = TrainingConfig(base_model="m", batch_size=len(rows), target_modules=["all-linear"], **keys)
    made = make_text(family, network, torch.bfloat16)
    made.attach_adapter(config)
    if config.gradient_checkpointing is True:
        made.recompute_activations()
    assert made.packs_by_bounds
    assert not take_step(made, config, [*rows, *rows[: config.gradient_accumulation - 1]]).waits


@pytest.mark.parametrize("precision", [torch.float32, torch.float16])
@pytest.mark.parametrize("variant", ["lora", "dora"])
def test_rows_without_flash_attention_and_adapters_of_peft_wait_nowhere_either(precision, variant) -> None:
    config = TrainingConfig(base_model="m", batch_size=3, variant=variant)
    family = make_text(CausalLM, LlamaConfig, precision)
    family.attach_adapter(config)
    waits = take_step(family, config, LONG).waits
    assert set(waits) <= ({"aten._local_scalar_dense.default"} if precision is torch.float16 else set())


PLAIN, ENCODERS, WIDE = {}, {"train_text_encoder": True}, {"precision": "fp32", "min_snr_gamma": 5.0}


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("sd15", PLAIN),
        ("sdxl", ENCODERS),
        *(  # operators of the meta device are written in Python: some seconds each
            pytest.param(kind, keys, marks=pytest.mark.slow)
            for kind, keys in [("sdxl", PLAIN), ("sd15", ENCODERS), ("sd15", WIDE), ("sdxl", WIDE)]
        ),
    ],
)
def test_a_step_of_pictures_stays_on_its_device_and_waits_nowhere(kind, keys, tmp_path, monkeypatch) -> None:
    config = TrainingConfig(base_model="m", batch_size=2, **({"precision": "bf16"} | keys))
    family, examples = make_pictures(kind, config, tmp_path)
    family.attach_adapter(config)
    with ExitStack() as stack:
        if config.precision == "bf16":
            monkeypatch.setattr(family, "_autocast", lambda: gpu_autocast(torch.bfloat16))
        assert not take_step(family, config, examples).waits
        stack.enter_context(gpu_attention())
        mode = stack.enter_context(OneDevice())
        family.model.eval()
        measure_loss(family, [examples[0]] * 2, batch_size=1)
    assert sum(mode.waits.values()) == 1


def compile_none(_model, **_options) -> None:
    """Stand in for the compiler, which takes seconds to be imported."""


def test_each_batch_is_marked_where_blocks_are_replayed(tmp_path, monkeypatch) -> None:
    """An answer of a CUDA graph is written over by its next replay, so that must know where a batch begins."""
    config = TrainingConfig(base_model="m", batch_size=1, gradient_accumulation=2, precision="fp32")
    family, examples = make_pictures("sd15", config, tmp_path)
    family.attach_adapter(config)
    marks = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: marks.append(1))
    monkeypatch.setattr(
        type(family.adapters.components["unet"].get_base_model()), "compile_repeated_blocks", compile_none
    )
    monkeypatch.setattr(family, "_predict", lambda noisy, *_: noisy * next(iter(family.model.parameters())).sum())
    for options, expected in (({}, 0), ({"mode": "reduce-overhead"}, 2)):
        family.compile_blocks(**options)
        for example in examples:
            family.compute_loss(family.collate([example]))
        assert len(marks) == expected


def test_the_mode_finds_a_mixture_and_a_wait() -> None:
    here, there = torch.zeros(2, device="meta"), torch.zeros(2)
    with OneDevice() as mode:
        assert (here + torch.tensor(1.0)).device.type == "meta"
        here.sum().item()
        here.cpu()
        assert sum(mode.waits.values()) == 2
        with pytest.raises(MixedDevices, match=r"aten\.add\.Tensor mixes cpu, meta"):
            here + there
        with pytest.raises(MixedDevices, match="depends on numbers"):
            here[here > 0]
