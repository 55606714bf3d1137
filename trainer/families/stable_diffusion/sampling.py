"""Drawing a picture: DDIM steps with classifier-free guidance, then the VAE's decoder."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from trainer.base_models.diffusers_quiet import diffusers

STEPS = 25
GUIDANCE = 7.5
LATENT_SIDE = 8  # pixels a latent stands for, in width and height

Predict = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def draw_picture(
    predict: Predict,
    vae: Any,
    scheduler: dict[str, Any],
    *,
    resolution: int,
    seed: int,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
) -> Image.Image:
    """Draw a square picture.

    `predict` takes latents [2, 4, h, w] (without and with the prompt), timesteps and geometry.
    Source: Song et al. 2020, "Denoising Diffusion Implicit Models"; Ho & Salimans 2022, "Classifier-Free Guidance".
    """
    device = next(vae.parameters()).device
    side = max(resolution // (8 * LATENT_SIDE) * 8, 8)
    noise = torch.randn((1, vae.config.latent_channels, side, side), generator=torch.Generator().manual_seed(seed))
    latents = noise.to(device)
    pixels = float(side * LATENT_SIDE)
    geometry = torch.tensor([[pixels, pixels, 0, 0, pixels, pixels]] * 2, device=device)
    ddim = diffusers.DDIMScheduler.from_config(scheduler, timestep_spacing="trailing", clip_sample=False)
    ddim.set_timesteps(steps)
    for timestep in ddim.timesteps:
        both = predict(torch.cat([latents, latents]), timestep.to(device).expand(2), geometry)
        without, with_prompt = both.float().chunk(2)
        guided = without + guidance * (with_prompt - without)
        latents = ddim.step(guided, timestep, latents).prev_sample
    with torch.autocast(device.type, enabled=False):
        decoded = vae.decode(latents.float() / vae.config.scaling_factor, return_dict=False)[0]
    values = ((decoded[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(np.ascontiguousarray(values))
