"""What can go wrong in a training run, with the exit code of the process and the code that the broker is told."""

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `trainer`, part of the worker protocol (docs/worker-protocol.md)."""

    SUCCEEDED = 0
    FAILED = 1
    BAD_INPUT = 2
    STOPPED = 3
    FENCED_OFF = 70
    PREEMPTED = 75


class TrainerError(Exception):
    """Training cannot go on; the message says what happened and what to do about it."""

    code = "failed"
    exit_code = ExitCode.FAILED


class BadInput(TrainerError):
    """The configuration or the data cannot be used: `field` is the key or file, `cure` says what to change."""

    code = "bad_input"
    exit_code = ExitCode.BAD_INPUT

    def __init__(self, field: str, cure: str) -> None:
        self.field, self.cure = field, cure
        super().__init__(f"{field}: {cure}")


class BaseModelMissing(BadInput):
    """The weights of a base model are not on this machine, or are not those that the broker quoted."""

    code = "base_model_missing"

    def __init__(self, cure: str) -> None:
        super().__init__("base_model", cure)


class LossNotFinite(TrainerError):
    """The loss became NaN or infinite; the weights of this step are not saved.

    `rows` count from 1 over the usable rows.
    """

    code = "loss_not_finite"

    def __init__(self, step: int, loss: float, rows: Sequence[int] = ()) -> None:
        which = f" (rows {', '.join(map(str, rows))} of the usable ones)" if rows else ""
        super().__init__(
            f"the loss of step {step} is {loss}; lower learning_rate (a tenth is a good try), add warmup_steps, "
            f"and look at the rows of that step{which}. The last checkpoint is kept"
        )


class OutOfMemory(TrainerError):
    """The device has not enough memory for this configuration; `would_fit` are changes that the estimate allows."""

    code = "out_of_memory"

    def __init__(self, detail: str, would_fit: Sequence[str] = ()) -> None:
        self.detail = detail
        cure = (
            "set batch_size to 2 or 1, gradient_checkpointing: true, or lora_rank to 4; lower max_length (text) or "
            "resolution (pictures), or set quantization: 4bit (text on a GPU)"
        )
        if would_fit:
            cure = f"by the estimate one of these would fit: {'; or '.join(would_fit)}; auto_fit: true tries the first"
        super().__init__(f"{cure} ({detail})")


class CannotWrite(TrainerError):
    """A file cannot be written: the disk is full, or the folder is not ours to write to."""

    code = "cannot_write"

    def __init__(self, path: object, reason: str, key: str = "output_dir") -> None:
        super().__init__(
            f"{path} cannot be written ({reason}); free some space there, or choose another {key} that you may "
            "write to. What was written before is kept, and nothing half-written bears a final name"
        )


class CheckpointUnusable(TrainerError):
    """The checkpoint is damaged or was made by another configuration or other data."""

    code = "checkpoint_unusable"
    exit_code = ExitCode.BAD_INPUT


class AdapterUnusable(TrainerError):
    """The file is no adapter that this trainer can rebuild."""

    code = "adapter_unusable"
    exit_code = ExitCode.BAD_INPUT


class BrokerRefused(TrainerError):
    """The broker answered with an error that trying again does not cure."""

    code = "broker_refused"


class BrokerAway(TrainerError):
    """The broker did not answer for as long as we are willing to try."""

    code = "broker_away"


class FencedOff(TrainerError):
    """The run is no longer ours (stale fence token, or a token that has been withdrawn): stop and say nothing more."""

    code = "fenced_off"
    exit_code = ExitCode.FENCED_OFF
