"""What is asked of `predict`: what would be trained, on what, and what is known of the program that trains."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pricing.catalog.profile import BaseModelProfile
from pricing.resources.method import Attention, Loss
from pricing.training.config import ALL_LINEAR

LATENT_PIXELS = 8


def _split(written: Any) -> Any:
    """Split `q_proj,v_proj` into names; a list stays one, and `all` is short for all-linear."""
    names = [name.strip() for name in written.split(",")] if isinstance(written, str) else written
    return [ALL_LINEAR] if names == ["all"] else names


class Range(BaseModel):
    p50: float = Field(gt=0)
    p90: float = Field(gt=0)


class PredictionRequest(BaseModel):
    """What is to be trained, and on what. Units: tokens (`sequence_length`, `mean_tokens`), pixels (`resolution`).

    `micro_batch` is per GPU. `gradient_checkpointing` null is not known: the answer lies between, and is as much wider.
    `measured_seconds_per_step`, of a probe on that GPU type, replaces the estimate.

    Hints about the program: `loss` chunked never holds the logits of a whole micro-batch; `compiled` has its small
    kernels fused, by a compiler or by hand; `attention` eager keeps the square of scores, sdpa and flash do not;
    `cached_latents` false puts pictures and captions through VAE and text encoders in every step.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    base_model: str
    gpu: str
    gpus: int = Field(default=1, ge=1, le=1024)
    method: Literal["lora", "qlora-nf4", "lora-int8"] = "lora"
    precision: Literal["fp32", "bf16", "fp16"] = "bf16"
    rank: int = Field(default=8, ge=1, le=1024)
    target_modules: Annotated[tuple[str, ...] | None, BeforeValidator(_split)] = None
    micro_batch: int = Field(default=1, ge=1, le=65536)
    accumulation: int = Field(default=1, ge=1, le=65536)
    sequence_length: int | None = Field(default=None, ge=1, le=10_000_000)
    resolution: int | None = Field(default=None, ge=64, le=16384)
    mean_tokens: float | None = Field(default=None, gt=0)
    gradient_checkpointing: bool | None = None
    cached_latents: bool = True
    loss: Loss | None = None
    compiled: bool | None = None
    attention: Attention | None = None
    steps: int = Field(default=1000, ge=1, le=1_000_000_000)
    measured_seconds_per_step: Range | None = None

    @model_validator(mode="after")
    def _has_one_size(self) -> "PredictionRequest":
        if (self.sequence_length is None) == (self.resolution is None):
            raise ValueError("give sequence_length for a text model, or resolution for an image model")
        if self.mean_tokens is not None and self.mean_tokens > (self.sequence_length or 0):
            raise ValueError("mean_tokens is at most sequence_length")
        return self


class PredictionRefused(ValueError):
    """The request names something that does not go together; the message says what to change."""


def read_sizes(request: PredictionRequest, profile: BaseModelProfile) -> tuple[float, float]:
    """Read the longest and the mean sample, in positions of the profile's curves. Raises: PredictionRefused."""
    if profile.is_text:
        if request.sequence_length is None:
            raise PredictionRefused(f"{profile.name} reads text: give sequence_length instead of resolution")
        return request.sequence_length, request.mean_tokens or request.sequence_length
    if request.resolution is None:
        raise PredictionRefused(f"{profile.name} draws pictures: give resolution instead of sequence_length")
    positions = (request.resolution / LATENT_PIXELS) ** 2
    return positions, positions
