"""What a model family gives the recipe: the recipe knows steps and state, the family knows models and rows."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

Example_contra = TypeVar("Example_contra", contravariant=True)


class Batch(Protocol):
    """The examples that go through the model at once, as tensors on the device.

    `tokens`: non-padding tokens, what the step is billed for. `weight`: how much the batch's mean loss counts among the
    batches of one step (loss tokens for text, pictures for images), so that accumulation changes no loss.
    """

    @property
    def tokens(self) -> int: ...

    @property
    def weight(self) -> float: ...


class Family(Protocol[Example_contra]):
    """A base model with a LoRA adapter on it; only the adapter's parameters require gradients."""

    @property
    def model(self) -> torch.nn.Module: ...

    def group(self, examples: Sequence[Example_contra]) -> Sequence[Hashable]:
        """A name for each example, the same for those that go through the model best together; () for all the same."""

    def collate(self, examples: Sequence[Example_contra]) -> Any:
        """One Batch of these examples."""

    def compute_loss(self, batch: Any) -> torch.Tensor:
        """The mean loss of one batch, a scalar that can be differentiated."""

    def sample(self, prompt: str, *, seed: int, place: Path) -> str:
        """What the model makes of a prompt: the text, or the name of the file written at `place` plus a suffix."""

    def adapter_tensors(self) -> dict[str, torch.Tensor]:
        """The adapter in PEFT layout: keys begin with `base_model.model.`"""

    def load_adapter_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Put such tensors back."""

    def adapter_config(self) -> dict[str, Any]:
        """What `adapter_config.json` holds: enough for plain `peft` to rebuild the adapter."""
