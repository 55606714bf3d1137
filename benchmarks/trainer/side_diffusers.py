"""Measured process: the peer, the way of diffusers' own `train_text_to_image_lora.py`.

As in the script: each step decodes its pictures, sends them through the VAE and the captions through the text encoder,
adds noise, and trains `to_k, to_q, to_v, to_out.0` of the UNet. Its torchvision transforms are written here with Pillow
and numpy, which are as fast; its data loader has no worker processes by default, and none here.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from peft import LoraConfig
from PIL import Image
from torch.nn.functional import mse_loss
from transformers import CLIPTextModel, CLIPTokenizer

from benchmarks.trainer.rounds import Rounds
from pricing.training.config import TrainingConfig
from trainer.base_models.config import read_config


def main() -> None:
    config = read_config(Path(sys.argv[1]))
    folder = Path(config.base_model)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    scheduler = DDPMScheduler.from_pretrained(folder / "scheduler")
    vae, text_encoder = (
        AutoencoderKL.from_pretrained(folder / "vae"),
        CLIPTextModel.from_pretrained(folder / "text_encoder"),
    )
    unet = UNet2DConditionModel.from_pretrained(folder / "unet")
    for part in (vae, text_encoder, unet):
        part.requires_grad_(requires_grad=False)
    unet.add_adapter(make_lora(config))
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.learning_rate, weight_decay=1e-2)
    pictures = sorted(Path(config.train_data_dir or "").glob("*.png"))
    rounds = Rounds()
    rounds.steps_per_round = len(pictures) // config.batch_size
    torch.manual_seed(config.seed)
    unet.train()
    for pixels, captions in draw_batches(pictures, config):
        latents = vae.encode(pixels).latent_dist.sample() * vae.config.scaling_factor
        noise = torch.randn_like(latents)
        steps = torch.randint(0, scheduler.config.num_train_timesteps, (len(latents),)).long()
        noisy = scheduler.add_noise(latents, noise, steps)
        ids = tokenizer(captions, max_length=77, padding="max_length", truncation=True, return_tensors="pt").input_ids
        hidden = text_encoder(ids, return_dict=False)[0]
        loss = mse_loss(unet(noisy, steps, hidden, return_dict=False)[0].float(), noise.float())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        if not rounds.step_done():
            return


def make_lora(config: TrainingConfig) -> LoraConfig:
    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        init_lora_weights="gaussian",
        target_modules=list(config.target_modules or ()),
    )


def draw_batches(pictures: list[Path], config: TrainingConfig) -> Iterator[tuple[torch.Tensor, list[str]]]:
    """[batch, 3, side, side] from -1 to 1, and the captions; every picture once in an epoch."""
    random = np.random.default_rng(config.seed)
    while True:
        order = random.permutation(len(pictures))
        for start in range(0, len(order), config.batch_size):
            batch = [pictures[number] for number in order[start : start + config.batch_size]]
            pixels = np.stack([read_picture(file, config.resolution or 512) for file in batch])
            captions = [file.with_suffix(".txt").read_text(encoding="utf-8") for file in batch]
            yield torch.from_numpy(pixels), captions


def read_picture(file: Path, side: int) -> np.ndarray:
    with Image.open(file) as opened:
        picture = opened.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    values = np.asarray(picture, dtype=np.float32) / 127.5 - 1
    return np.ascontiguousarray(values.transpose(2, 0, 1))


if __name__ == "__main__":
    main()
