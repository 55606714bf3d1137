"""Everything of a run that changes from step to step, and how it goes into a checkpoint and out again."""

import random
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from pricing.estimate.training_config import PATH_KEYS, TrainingConfig, parse_training_config
from trainer.checkpoint import Checkpoint
from trainer.errors import CheckpointUnusable
from trainer.families.family import Family

MAY_CHANGE_ON_RESUME = PATH_KEYS | {"save_steps"}


@dataclass(frozen=True)
class RunIdentity:
    """What must be the same for a checkpoint to fit: configuration, base model and data (SHA-256 of the examples)."""

    config: TrainingConfig
    base_model: str
    data_sha256: str


@dataclass
class Counters:
    """Steps done, non-padding tokens trained, and the losses of the epoch so far (sum and number of steps)."""

    step: int = 0
    tokens: int = 0
    epoch_loss_sum: float = 0.0
    epoch_loss_steps: int = 0

    def count_step(self, *, loss: float, tokens: int, starts_epoch: bool) -> None:
        if starts_epoch:
            self.epoch_loss_sum, self.epoch_loss_steps = 0.0, 0
        self.step += 1
        self.tokens += tokens
        self.epoch_loss_sum += loss
        self.epoch_loss_steps += 1


class TrainingState:
    """The adapter, the optimizer, the random generators and the counters of one run."""

    def __init__(self, family: Family[Any], optimizer: torch.optim.Optimizer, identity: RunIdentity) -> None:
        self.family, self.optimizer, self.identity = family, optimizer, identity
        self.counters = Counters()

    def capture(self) -> Checkpoint:
        optimizer = self.optimizer.state_dict()
        tensors = {f"adapter.{name}": tensor for name, tensor in self.family.adapter_tensors().items()}
        for index, slots in optimizer["state"].items():
            tensors |= {f"optimizer.{index}.{slot}": tensor.cpu() for slot, tensor in slots.items()}
        tensors |= {f"random.{name}": tensor for name, tensor in _capture_torch_generators().items()}
        facts = {
            "counters": asdict(self.counters),
            "config": self.identity.config.model_dump(mode="json", exclude=set(PATH_KEYS)),
            "base_model": self.identity.base_model,
            "data_sha256": self.identity.data_sha256,
            "optimizer_groups": optimizer["param_groups"],
            "random": _capture_python_generators(),
        }
        return Checkpoint(self.counters.step, tensors, facts)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Raises: CheckpointUnusable, if it was made by another configuration, base model or data."""
        _check_identity(self.identity, checkpoint.facts)
        self.family.load_adapter_tensors(_with_prefix(checkpoint.tensors, "adapter."))
        slots: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in _with_prefix(checkpoint.tensors, "optimizer.").items():
            index, _, slot = name.partition(".")
            slots.setdefault(int(index), {})[slot] = tensor
        self.optimizer.load_state_dict({"state": slots, "param_groups": checkpoint.facts["optimizer_groups"]})
        self.counters = Counters(**checkpoint.facts["counters"])
        _restore_generators(_with_prefix(checkpoint.tensors, "random."), checkpoint.facts["random"])


def seed_generators(seed: int) -> None:
    """Seed every generator that training may draw from: Python's, numpy's, torch's on every device."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global generator is the one that libraries draw from
    torch.manual_seed(seed)


def _with_prefix(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _check_identity(identity: RunIdentity, facts: dict[str, Any]) -> None:
    # Parsed anew, so that a key which is younger than the checkpoint has its default there.
    saved = parse_training_config(facts["config"]).model_dump(exclude=set(MAY_CHANGE_ON_RESUME))
    asked = identity.config.model_dump(exclude=set(MAY_CHANGE_ON_RESUME))
    changed = [f"{key} (was {saved[key]!r}, now {asked[key]!r})" for key in asked if asked[key] != saved[key]]
    if facts["base_model"] != identity.base_model:
        changed.append(f"base model (was {facts['base_model']!r})")
    if facts["data_sha256"] != identity.data_sha256:
        changed.append("the training data")
    if changed:
        raise CheckpointUnusable(
            f"resume_from: the checkpoint was made with other settings: {', '.join(changed)}; "
            "set them back to go on, or leave out resume_from to start anew"
        )


def _capture_torch_generators() -> dict[str, torch.Tensor]:
    states = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda.{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def _capture_python_generators() -> dict[str, Any]:
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, [int(key) for key in keys], int(position), int(has_gauss), float(cached)],
    }


def _restore_generators(tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    torch.set_rng_state(tensors["torch"])
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        if f"cuda.{index}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda.{index}"], index)
    version, words, gauss = facts["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = facts["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))  # noqa: NPY002
