"""Stable Diffusion 1.5 and XL, as a diffusers folder or one file in the original layout.

`stable_diffusion.StableDiffusion` is the family; `weights` loads single components; `configs` and `layout` know the
published shapes and the original key of every weight (docs/decisions/0010); `inputs` computes latents and text
embeddings once, before training; `adapter` holds an adapter for each component that trains: UNet, text encoders.

Noise, timesteps and mirroring are drawn on the CPU from the step and the picture, so that a resumed run, and several
processes, draw the same. The VAE computes in fp32 (SDXL's overflows in fp16). No pickle, no code of a folder.
"""
