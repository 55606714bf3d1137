"""The peer of pictures: the loop of diffusers' `train_text_to_image_lora.py`, and of its SDXL form, as it stands there.

Each step sends its pictures through the VAE and its captions through the text encoders, adds noise, and trains `to_k,
to_q, to_v, to_out.0` of the UNet under autocast. Frozen weights are in 16 bit, but for SDXL's VAE, which is in 32.
Reading pictures from a disk is left out, to the peer's good.
"""

from pathlib import Path

import torch
from torch.nn.functional import mse_loss

from benchmarks.gpu.picture_models import CAPTION, RANK, PictureJob, RandomWeights, make_configs
from benchmarks.gpu.where import Place
from trainer.base_models.diffusers_quiet import diffusers
from trainer.base_models.transformers_quiet import peft
from trainer.families.stable_diffusion.configs import get_config

MODULES = ["to_k", "to_q", "to_v", "to_out.0"]


class PeerPictures:
    """The components of the script, and one step of its loop."""

    def __init__(self, place: Place, job: PictureJob) -> None:
        self.place, self.job = place, job
        scheduler = get_config(job.kind, "scheduler")
        base = RandomWeights(
            Path(), job.kind, make_configs(job.kind, small=place.is_rehearsal), scheduler, place.device
        )
        self.scheduler = diffusers.DDPMScheduler.from_config(scheduler)
        self.vae = base.load("vae").to(dtype=torch.float32 if job.kind == "sdxl" else place.dtype)
        self.encoders = [base.load(name).to(dtype=place.dtype) for name in base.text_encoders]
        self.unet = base.load("unet").to(dtype=place.dtype)
        self.unet.add_adapter(
            peft.LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=MODULES)
        )
        self.unet.train()
        self.trained = [parameter for parameter in self.unet.parameters() if parameter.requires_grad]
        for parameter in self.trained:
            parameter.data = parameter.data.float()
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-4, weight_decay=1e-2)
        self.scaler = torch.amp.GradScaler(place.device.type, enabled=place.dtype is torch.float16)

    def step(self) -> None:
        job, device = self.job, self.place.device
        pixels = torch.rand(job.batch, 3, 8 * job.side, 8 * job.side).to(device) * 2 - 1
        latents = self.encode(pixels)
        noise = torch.randn_like(latents)
        steps = torch.randint(0, self.scheduler.config.num_train_timesteps, (job.batch,), device=device).long()
        noisy = self.scheduler.add_noise(latents, noise, steps)
        hidden, added = self.embed()
        with torch.autocast(device.type, dtype=self.place.dtype):
            predicted = self.unet(noisy, steps, hidden, added_cond_kwargs=added, return_dict=False)[0]
        loss = mse_loss(predicted.float(), noise.float())
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        loss.item()  # the script shows it after every step

    @torch.no_grad()
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        latents = self.vae.encode(pixels.to(self.vae.dtype)).latent_dist.sample() * self.vae.config.scaling_factor
        return latents.to(self.place.dtype)

    @torch.no_grad()
    def embed(self) -> tuple[torch.Tensor, dict[str, torch.Tensor] | None]:
        ids = torch.tensor([CAPTION.padded(0)] * self.job.batch, device=self.place.device)
        if self.job.kind == "sd15":
            return self.encoders[0](ids, return_dict=False)[0], None
        read = [encoder(ids, output_hidden_states=True) for encoder in self.encoders]
        hidden = torch.cat([of.hidden_states[-2] for of in read], dim=-1)
        size = 8.0 * self.job.side
        times = torch.tensor([[size, size, 0, 0, size, size]] * self.job.batch, device=self.place.device)
        return hidden, {"text_embeds": read[-1].text_embeds, "time_ids": times.to(self.place.dtype)}
