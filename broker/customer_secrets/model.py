"""Kinds of secrets, what is told of one, and what of it a run is given. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum


class SecretKind(StrEnum):
    """What a secret opens: a tracker, by the name that the trainer's `log_to` has for it."""

    MLFLOW = "mlflow"
    WANDB = "wandb"
    SWANLAB = "swanlab"


@dataclass(frozen=True)
class NewSecret:
    """A secret as it is told; `project_id` None: for all projects of its customer."""

    customer_id: str
    name: str
    kind: SecretKind
    key: str = field(repr=False)
    url: str | None = None
    username: str | None = None
    project_id: str | None = None


@dataclass(frozen=True)
class SecretChanges:
    """What is changed of a secret; None: stays as it is."""

    key: str | None = field(default=None, repr=False)
    url: str | None = None
    username: str | None = None


@dataclass(frozen=True)
class TrackerAccess:
    """What a run is given to tell a tracker: `secret` names what its job named, `key` is None where that is gone.

    `networks` are those beside the public internet that the address may lead to.
    """

    secret: str
    kind: SecretKind | None = None
    key: str | None = field(default=None, repr=False)
    url: str | None = None
    username: str | None = None
    project: str | None = None
    networks: tuple[str, ...] = ()
