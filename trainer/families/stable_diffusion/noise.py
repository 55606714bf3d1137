"""The noise of diffusion training: how much at which timestep, what the UNet is to predict, and what that weighs."""

from typing import Any, Self

import torch
from torch.nn.functional import mse_loss

from trainer.base_models.diffusers_quiet import diffusers


class NoiseSchedule:
    """The schedule of a base model on a device. Timesteps count from 0 (little noise) to `steps` - 1 (only noise).

    Source: Ho et al. 2020, "Denoising Diffusion Probabilistic Models", equation 4 (noising); Salimans & Ho 2022,
    "Progressive Distillation", section 4 and appendix D (v prediction); Hang et al. 2023, "Efficient Diffusion Training
    via Min-SNR Weighting Strategy", equation 8 and its form for v.
    """

    def __init__(self, alphas_cumprod: torch.Tensor, prediction_type: str, min_snr_gamma: float | None) -> None:
        self._signal, self._noise = alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt()
        self.prediction_type, self.steps = prediction_type, len(alphas_cumprod)
        self._loss_weights = _weigh(alphas_cumprod, prediction_type, min_snr_gamma)

    @classmethod
    def create(cls, scheduler: dict[str, Any], prediction_type: str, min_snr_gamma: float | None, device: Any) -> Self:
        """Create the schedule of a scheduler's configuration; `prediction_type` auto takes what that says."""
        if prediction_type == "auto":
            prediction_type = scheduler.get("prediction_type", "epsilon")
        alphas = diffusers.DDPMScheduler.from_config(scheduler).alphas_cumprod.to(device)
        return cls(alphas, prediction_type, min_snr_gamma)

    def add_noise(self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        return _spread(self._signal[timesteps]) * latents + _spread(self._noise[timesteps]) * noise

    def compute_loss(
        self, predicted: torch.Tensor, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        """Compute the weighted mean squared error of each picture [n], in fp32."""
        target = noise
        if self.prediction_type == "v_prediction":
            target = _spread(self._signal[timesteps]) * noise - _spread(self._noise[timesteps]) * latents
        errors = mse_loss(predicted.float(), target.float(), reduction="none").mean(dim=(1, 2, 3))
        return errors if self._loss_weights is None else errors * self._loss_weights[timesteps]


def _weigh(alphas_cumprod: torch.Tensor, prediction_type: str, gamma: float | None) -> torch.Tensor | None:
    if gamma is None:
        return None
    snr = alphas_cumprod / (1 - alphas_cumprod)
    least = snr.clamp(max=gamma)
    return least / (snr + 1) if prediction_type == "v_prediction" else least / snr.clamp(min=1e-8)


def _spread(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None, None]
