"""API shapes of secrets. No answer has a key."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from broker.addresses import MOST_URL
from broker.customer_secrets.model import NewSecret, SecretChanges, SecretKind
from broker.customer_secrets.tables import CustomerSecret
from broker.http.plain_text import PlainLine
from broker.http.shapes import RequestBody, created_at_field, read_fields

NAME_PATTERN, LONGEST_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", 64

Name = Annotated[
    PlainLine,
    Field(
        min_length=1,
        max_length=LONGEST_NAME,
        pattern=NAME_PATTERN,
        description="Letters, digits, `_`, `-` and `.`; given once to a customer. Jobs name it.",
        examples=["wandb-team"],
    ),
]
# As an order names one.
SecretName = Annotated[PlainLine, Field(min_length=1, max_length=LONGEST_NAME)]
Key = Annotated[
    str,
    Field(
        min_length=8,
        max_length=2_000,
        pattern=r"^[\x21-\x7e]+$",
        description="The key: of W&B and SwanLab an API key, of MLflow a token (`Authorization: Bearer …`) or, with "
        "`username`, the password. Kept sealed, shown never.",
        examples=["a-long-key-of-yours"],
    ),
]
Url = Annotated[
    PlainLine,
    Field(
        min_length=1,
        max_length=MOST_URL,
        description="Where the tracker is, at a public address. MLflow needs it; null: wandb's or swanlab's own cloud.",
        examples=["https://mlflow.example.com"],
    ),
]
Username = Annotated[
    PlainLine,
    Field(
        min_length=1,
        max_length=200,
        pattern=r"^[^:]+$",
        description="Of MLflow's basic authentication, whose password the key is.",
        examples=["trainer"],
    ),
]


class SecretIn(RequestBody):
    name: Name
    kind: SecretKind = Field(description="What it opens: `mlflow`, `wandb` or `swanlab`.", examples=["wandb"])
    key: Key
    url: Url | None = Field(default=None, description="Where it is.", examples=["https://mlflow.example.com"])
    username: Username | None = Field(default=None, description="Of MLflow's basic authentication.", examples=[None])
    customer_id: str | None = Field(default=None, description="Needed with a staff key only.", examples=["cus_01k"])
    project_id: str | None = Field(
        default=None, description="For jobs of this project alone; null: of all projects.", examples=["prj_01k"]
    )

    def read_secret(self, customer_id: str) -> NewSecret:
        own = self.model_dump(exclude={"customer_id"})
        return NewSecret(customer_id=customer_id, **own)


class SecretChangesIn(RequestBody):
    key: Key | None = Field(default=None, description="Another key under the same name.", examples=["another-key"])
    url: Url | None = Field(default=None, description="Where it is now.", examples=["https://mlflow.example.com"])
    username: Username | None = Field(default=None, description="Another user name.", examples=["trainer"])

    @model_validator(mode="after")
    def _check_what_changes(self) -> Self:
        if not any((self.key, self.url, self.username)):
            raise ValueError("names nothing to change: send key, url or username")
        return self

    def read_changes(self) -> SecretChanges:
        return SecretChanges(self.key, self.url, self.username)


class SecretOut(BaseModel):
    id: str = Field(description="Secret id.", examples=["sec_01k"])
    object: Literal["secret"] = Field(default="secret", description="Kind of object.", examples=["secret"])
    customer_id: str = Field(description="Whose it is.", examples=["cus_01k"])
    project_id: str | None = Field(
        description="For jobs of this project alone; null: of all projects.", examples=["prj_01k"]
    )
    name: str = Field(description="Its name.", examples=["wandb-team"])
    kind: SecretKind = Field(description="What it opens.", examples=["wandb"])
    url: str | None = Field(description="Where that is; null: its own cloud.", examples=["https://mlflow.example.com"])
    username: str | None = Field(description="Of MLflow's basic authentication.", examples=["trainer"])
    rotated_at: datetime | None = Field(
        description="When its key was last replaced (UTC); null: never.", examples=["2026-11-24T10:00:00Z"]
    )
    last_used_at: datetime | None = Field(
        description="When a run was last given its key (UTC); null: never.", examples=["2026-11-24T10:05:00Z"]
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: CustomerSecret) -> Self:
        return cls(**read_fields(cls, row))
