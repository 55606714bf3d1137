"""Everything of a run that changes from step to step, and how it goes into a checkpoint and out again."""

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from pricing.training.config import PATH_KEYS, TrainingConfig
from pricing.training.config_parsing import ConfigInvalid, parse_training_config
from trainer.errors import BadInput, CheckpointUnusable
from trainer.families.family import Family
from trainer.training.checkpoint import Checkpoint

# None of these changes what a step computes (two batch keys: see `_check_identity`).
MAY_CHANGE_ON_RESUME = PATH_KEYS | {
    "save_steps",
    "sample_prompts",
    "gradient_checkpointing",
    "auto_fit",
    "batch_size",
    "gradient_accumulation",
    "base_model",  # how it is spelt; the weights are compared by their hash
}

MOMENTS = {"exp_avg", "exp_avg_sq"}  # of the shape of their parameter, whatever the optimizer


@dataclass(frozen=True)
class RunIdentity:
    """What must be the same for a checkpoint to fit: configuration, base model (SHA-256 of the weights; its name only
    where a checkpoint is older than that) and data (SHA-256 of the examples).
    """

    config: TrainingConfig
    base_model: str
    data_sha256: str
    base_sha256: str = ""


@dataclass
class Counters:
    """Steps done, non-padding tokens trained, the losses of the epoch so far (sum and number of steps), and the
    validation losses, oldest first.
    """

    step: int = 0
    tokens: int = 0
    epoch_loss_sum: float = 0.0
    epoch_loss_steps: int = 0
    validation_losses: list[float] = field(default_factory=list)

    def count_step(self, *, loss: float, tokens: int, starts_epoch: bool) -> None:
        if starts_epoch:
            self.epoch_loss_sum, self.epoch_loss_steps = 0.0, 0
        self.step += 1
        self.tokens += tokens
        self.epoch_loss_sum += loss
        self.epoch_loss_steps += 1


class TrainingState:
    """The adapter, the optimizer, the random generators and the counters of one run."""

    def __init__(
        self,
        family: Family[Any],
        optimizer: torch.optim.Optimizer,
        identity: RunIdentity,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        self.family, self.optimizer, self.identity, self.scaler = family, optimizer, identity, scaler
        self.counters = Counters()

    def capture(self) -> Checkpoint:
        tensors = {f"adapter.{name}": tensor for name, tensor in self.family.adapter_tensors().items()}
        optimizer_tensors, optimizer_facts = split_optimizer_state(self.optimizer)
        torch_generators, python_generators = capture_generators()
        tensors |= optimizer_tensors
        tensors |= {f"random.{name}": tensor for name, tensor in torch_generators.items()}
        facts = {
            "counters": asdict(self.counters),
            "config": self.identity.config.model_dump(mode="json", exclude=set(PATH_KEYS)),
            "base_model": self.identity.base_model,
            "base_sha256": self.identity.base_sha256,
            "data_sha256": self.identity.data_sha256,
            "text_format": self.family.describe_format(),
            **optimizer_facts,
            "scaler": self.scaler.state_dict() if self.scaler is not None else {},
            "random": python_generators,
        }
        return Checkpoint(self.counters.step, tensors, facts)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the run from a checkpoint.

        Raises: CheckpointUnusable, if it was made by another configuration, base model or data, or lacks something.
        """
        with telling_what_is_malformed(checkpoint):
            _check_identity(self.identity, checkpoint.facts)
            self._take_over(checkpoint)

    def _take_over(self, checkpoint: Checkpoint) -> None:
        self.family.load_adapter_tensors(_with_prefix(checkpoint.tensors, "adapter."))
        self.optimizer.load_state_dict(join_optimizer_state(checkpoint.tensors, checkpoint.facts))
        if self.scaler is not None and checkpoint.facts.get("scaler"):
            self.scaler.load_state_dict(checkpoint.facts["scaler"])
        self.counters = read_counters(checkpoint)
        if self.counters.step:
            _check_shapes(self.optimizer)
        restore_generators(_with_prefix(checkpoint.tensors, "random."), checkpoint.facts["random"])


@contextmanager
def telling_what_is_malformed(checkpoint: Checkpoint) -> Iterator[None]:
    """Turn what a state that was changed by hand, or by another program, makes fail into a message.

    Raises: CheckpointUnusable.
    """
    try:
        yield
    except ConfigInvalid as error:
        raise CheckpointUnusable(
            f"resume_from: the checkpoint of step {checkpoint.step} holds a configuration that this trainer does not "
            f"know ({error}); it is of another version, or was changed: go on with the trainer that wrote it"
        ) from error
    except KeyError as error:
        raise CheckpointUnusable(
            f"resume_from: the checkpoint of step {checkpoint.step} is malformed: {error.args[0]!r} is missing"
        ) from error
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError, RuntimeError, BadInput) as error:
        raise CheckpointUnusable(
            f"resume_from: the checkpoint of step {checkpoint.step} is malformed: {str(error).splitlines()[0]}"
        ) from error


def split_optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Split the state of any optimizer into named tensors and what else it keeps (numbers, settings) as JSON values."""
    state = optimizer.state_dict()
    places = {
        f"optimizer.{index}.{slot}": value for index, slots in state["state"].items() for slot, value in slots.items()
    }
    groups = [dict(group) for group in state["param_groups"]]
    for number, group in enumerate(groups):
        kept = [key for key, value in group.items() if isinstance(value, torch.Tensor)]
        places |= {f"optimizer_group.{number}.{key}": group.pop(key) for key in kept}
    tensors = {name: value.detach().cpu() for name, value in places.items() if isinstance(value, torch.Tensor)}
    numbers = {name: value for name, value in places.items() if not isinstance(value, torch.Tensor)}
    return tensors, {"optimizer_groups": groups, "optimizer_numbers": numbers}


def join_optimizer_state(tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Reverse `split_optimizer_state`."""
    groups = [dict(group) for group in facts["optimizer_groups"]]
    slots: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **facts.get("optimizer_numbers", {})}.items():
        kind, _, place = name.partition(".")
        index, _, slot = place.partition(".")
        if kind == "optimizer":
            slots.setdefault(int(index), {})[slot] = value
        elif kind == "optimizer_group":
            groups[int(index)][slot] = value
    return {"state": slots, "param_groups": groups}


def seed_generators(seed: int) -> None:
    """Seed every generator that training may draw from: Python's, numpy's, torch's on every device."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the global generator is the one that libraries draw from
    torch.manual_seed(seed)


def _with_prefix(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def read_counters(checkpoint: Checkpoint) -> Counters:
    """Read the counters. Raises: ValueError, where they are none or of another step than the checkpoint."""
    odd = set(checkpoint.facts["counters"]) ^ {field.name for field in fields(Counters)}
    if odd:
        raise ValueError(f"counters.{min(odd)} is missing or unknown")
    try:
        counters = TypeAdapter(Counters).validate_json(json.dumps(checkpoint.facts["counters"]), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"counters.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if counters.step != checkpoint.step:
        raise ValueError(f"its counters are of step {counters.step}")
    return counters


def _check_shapes(optimizer: torch.optim.Optimizer) -> None:
    """Refuse moments that are not there or of another shape than their parameter, which torch takes in without a word.

    Raises: ValueError.
    """
    if not optimizer.state:
        raise ValueError("the optimizer's state is missing")
    for parameter, slots in optimizer.state.items():
        for slot in MOMENTS & slots.keys():
            if slots[slot].shape != parameter.shape:
                raise ValueError(f"{slot} has shape {list(slots[slot].shape)}, its parameter {list(parameter.shape)}")


def _check_identity(identity: RunIdentity, facts: dict[str, Any]) -> None:
    # Parsed anew, so that a key which is younger than the checkpoint has its default there.
    saved = parse_training_config(facts["config"]).model_dump(exclude=set(MAY_CHANGE_ON_RESUME))
    asked = identity.config.model_dump(exclude=set(MAY_CHANGE_ON_RESUME))
    rows_then, rows_now = parse_training_config(facts["config"]).rows_per_step, identity.config.rows_per_step
    changed = [f"{key} (was {saved[key]!r}, now {asked[key]!r})" for key in asked if asked[key] != saved[key]]
    if rows_then != rows_now:
        changed.append(f"batch_size times gradient_accumulation (was {rows_then}, now {rows_now})")
    if _is_other_base(identity, facts):
        changed.append(f"base model (was {facts['base_model']!r}, with other weights than {identity.base_model!r})")
    if facts["data_sha256"] != identity.data_sha256:
        changed.append("the training data")
    if changed:
        raise CheckpointUnusable(
            f"resume_from: the checkpoint was made with other settings: {', '.join(changed)}; "
            "set them back to go on, or leave out resume_from to start anew"
        )


def _is_other_base(identity: RunIdentity, facts: dict[str, Any]) -> bool:
    """Tell by the weights, wherever they lie now; by the name where the hash of one side is not known."""
    then, now = facts.get("base_sha256"), identity.base_sha256
    return bool(then != now) if then and now else bool(facts["base_model"] != identity.base_model)


def capture_generators() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Capture every generator that training may draw from: torch's as tensors, the others as JSON values."""
    states = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda.{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    return states, _capture_python_generators()


def _capture_python_generators() -> dict[str, Any]:
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, [int(key) for key in keys], int(position), int(has_gauss), float(cached)],
    }


def restore_generators(tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    torch.set_rng_state(tensors["torch"])
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        if f"cuda.{index}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda.{index}"], index)
    version, words, gauss = facts["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = facts["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))  # noqa: NPY002
