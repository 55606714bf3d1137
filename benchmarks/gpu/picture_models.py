"""Random Stable Diffusion models of true shapes, latents and embeddings as the cache holds them, our side's step."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.where import Place
from pricing.training.config import TrainingConfig
from trainer.data.tensor_cache import TensorCache
from trainer.families.stable_diffusion.batch import ImageExample
from trainer.families.stable_diffusion.clip_text import Caption
from trainer.families.stable_diffusion.configs import Config, Kind, get_config
from trainer.families.stable_diffusion.inputs import make_embedding_key
from trainer.families.stable_diffusion.stable_diffusion import StableDiffusion
from trainer.families.stable_diffusion.weights import BaseWeights, _build
from trainer.training.optimizer_step import Stepper, create_scaler
from trainer.training.optimizers import create_optimizer

RANK = 16
ENCODERS_KEY = "random"
CAPTION = Caption((49406, 320, 1125, 539, 320, 2368, 49407))
POOLED = {"sd15": 0, "sdxl": 1280}
SMALL_UNET = {"block_out_channels": [32, 64], "layers_per_block": 1, "norm_num_groups": 8, "attention_head_dim": 8}
SMALL_UNET |= {"down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "transformer_layers_per_block": 1}
SMALL_UNET |= {"up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"]}
SMALL_VAE = {"block_out_channels": [32, 32, 32, 32], "layers_per_block": 1, "norm_num_groups": 8}
SMALL_CLIP = {"num_hidden_layers": 2}


def make_configs(kind: Kind, *, small: bool) -> dict[str, Config]:
    names = ["unet", "vae", "text_encoder", *(["text_encoder_2"] if kind == "sdxl" else [])]
    shrunk = {"unet": SMALL_UNET, "vae": SMALL_VAE}
    return {name: get_config(kind, name) | (shrunk.get(name, SMALL_CLIP) if small else {}) for name in names}


@dataclass(frozen=True)
class RandomWeights(BaseWeights):
    """A base model of random weights, drawn where it is said."""

    drawn_on: torch.device = field(default=torch.device("cpu"))

    def load(self, component: str) -> torch.nn.Module:
        torch.manual_seed(0)
        with self.drawn_on:
            model = _build(component, self.configs[component])
        return model.requires_grad_(requires_grad=False).eval()


@dataclass(frozen=True)
class PictureJob:
    """Pictures of one shape: `side` latents high and wide, `batch` in a step."""

    kind: Kind
    side: int
    batch: int

    @property
    def model(self) -> str:
        return {"sd15": "sd-1.5", "sdxl": "sdxl-1.0"}[self.kind]


def make_picture_config(place: Place, job: PictureJob, **keys: Any) -> TrainingConfig:
    common = {
        "base_model": job.model,
        "lora_rank": RANK,
        "lora_alpha": RANK,
        "batch_size": job.batch,
        "precision": place.precision,
        "learning_rate": 1e-4,
        "gradient_checkpointing": False,
    }
    return TrainingConfig.model_validate(common | keys)


class OurPictures:
    """Our side: the family on latents and embeddings from its cache, and the recipe's own step."""

    def __init__(
        self, place: Place, job: PictureJob, config: TrainingConfig, folder: Path, *, drawn_on: torch.device
    ) -> None:
        configs = make_configs(job.kind, small=place.is_rehearsal)
        base = RandomWeights(folder, job.kind, configs, get_config(job.kind, "scheduler"), drawn_on)
        self.family = StableDiffusion(base, config, place.device)
        self.family._cache = TensorCache(folder)  # noqa: SLF001 - as if pictures had been encoded
        self.family._encoders_key = ENCODERS_KEY  # noqa: SLF001
        self.examples = self._fill_cache(job, configs["unet"])
        torch.manual_seed(0)
        self.family.attach_adapter(config)
        self.family.model.train()
        trainable = [parameter for parameter in self.family.model.parameters() if parameter.requires_grad]
        optimizer = create_optimizer(config, trainable)
        self.stepper = Stepper(self.family, optimizer, trainable, job.batch, create_scaler(self.family.model))
        self.steps = 0

    def _fill_cache(self, job: PictureJob, unet: Config) -> list[ImageExample]:
        cache, source = self.family._cache, torch.Generator().manual_seed(3)  # noqa: SLF001
        shape, width = (8, job.side, job.side), unet["cross_attention_dim"]
        keys = [f"{number:064}" for number in range(job.batch)]
        for key in keys:
            moments = torch.randn(shape, generator=source)
            cache.put(
                key,
                {"moments": moments, "geometry": torch.tensor([8.0 * job.side] * 2 + [0.0] * 2 + [8.0 * job.side] * 2)},
            )
        embedding = {
            "hidden": torch.randn(77, width, generator=source),
            "pooled": torch.randn(POOLED[job.kind], generator=source),
        }
        cache.put(make_embedding_key(CAPTION, ENCODERS_KEY, 1), embedding)
        return [ImageExample(key, CAPTION, 1.0, (job.side, job.side)) for key in keys]

    def step(self) -> Any:
        self.steps += 1
        return self.stepper.take_step(self.examples, step=self.steps)
