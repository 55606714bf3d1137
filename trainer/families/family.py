"""What training asks of a model family: training knows steps and state, the family knows models and rows."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import torch

from pricing.training.config import TrainingConfig
from trainer.base_models.config import BaseModelSource
from trainer.data.dataset import EncodingCounts

Example = TypeVar("Example")


class Batch(Protocol):
    """The examples that go through the model at once, as tensors on the device.

    `tokens`: non-padding tokens, what the step is billed for. `weight`: how much the batch's mean loss counts among the
    batches of one step (loss tokens for text, pictures for images), so that accumulation changes no loss.
    """

    @property
    def tokens(self) -> int: ...

    @property
    def weight(self) -> float: ...


class Family(Protocol[Example]):
    """A base model with a LoRA adapter on it; only the adapter's parameters require gradients.

    Called in this order: `load`, `encode`, then `attach_adapter` (a fresh adapter, to train) or `apply_adapter` (a
    finished one, to try out). What is known of a family without importing its code is in `families/registry.py`.
    """

    @property
    def model(self) -> torch.nn.Module: ...

    @classmethod
    def load(cls, source: BaseModelSource, config: TrainingConfig | None = None) -> Self:
        """Load the base model on the GPU if there is one, in the configuration's precision. Raises: BadInput."""

    @classmethod
    def prepare_weights(cls, source: BaseModelSource) -> Path:
        """Return the weights under transformers' or diffusers' names, converted once where they lie under others.

        A folder, but for a Stable Diffusion model in one file. Raises: BadInput.
        """

    @classmethod
    def translate_targets(cls, targets: Sequence[str] | None) -> tuple[str, ...] | None:
        """Name target modules as this trainer's profiles do; None stands for the family's default."""

    def encode(self, rows: Sequence[Any], *, max_length: int) -> list[Example]:
        """Turn the rows of the data set into examples, once, before training. Raises: BadInput."""

    @property
    def encoding_counts(self) -> EncodingCounts:
        """Return what `encode` found of the rows it was given."""

    def describe_format(self) -> dict[str, Any] | None:
        """Describe what stands around rows, as JSON values; None for pictures."""

    def keep_format(self, kept: dict[str, Any]) -> None:
        """Go on with what a checkpoint's rows have around them, before `encode`."""

    def fingerprint(self, examples: Sequence[Example]) -> str:
        """Compute the SHA-256 of what is trained on, so that a checkpoint is not resumed on other data."""

    def list_sources(self, examples: Sequence[Example]) -> Sequence[Hashable | None]:
        """Name what each example is a copy of, so that all its copies are held out together; None is never held out."""

    def count_positions(self, example: Example) -> int:
        """Count what memory grows with: tokens of a text, latent positions of a picture."""

    def attach_adapter(self, config: TrainingConfig, default_targets: Sequence[str] | None = None) -> None:
        """Put fresh adapter matrices on the target modules. Draws from torch's generator. Raises: BadInput."""

    def apply_adapter(self, adapter_config: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        """Put a finished adapter on the base model, for inference. Raises: BadInput, AdapterUnusable."""

    def recompute_activations(self) -> None:
        """Compute activations again on the way back instead of keeping them (gradient checkpointing)."""

    def compile_blocks(self, **options: Any) -> None:
        """Let torch compile the blocks that the model repeats; `options` go to `torch.compile`."""

    def group(self, examples: Sequence[Example]) -> Sequence[Hashable]:
        """Name the group of each example; those of one group go through the model best together. () for one group."""

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Make one batch of these examples."""

    def compute_loss(self, batch: Any) -> torch.Tensor:
        """Compute the mean loss of one batch, a scalar that can be differentiated."""

    def sample(self, prompt: str, *, seed: int, place: Path) -> str:
        """Return what the model makes of a prompt: the text, or the name of the picture's file, `place` and suffix."""

    def adapter_tensors(self) -> dict[str, torch.Tensor]:
        """Return the adapter in PEFT layout: its keys begin with `base_model.model`."""

    def load_adapter_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Put such tensors back. Raises: BadInput, if they are not of this model and rank."""

    def adapter_config(self) -> dict[str, Any]:
        """Return what `adapter_config.json` holds: enough for plain `peft` to rebuild the adapter."""

    def describe_base_file(self, source: BaseModelSource, sha256: str) -> dict[str, str]:
        """Describe the base model for the header of the adapter's file, as other programs of this family look for it.

        `sha256` is that of the weights; empty where nobody looks for it.
        """
