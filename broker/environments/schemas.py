"""API shapes of environments and of what is pushed to them. A token stands in no answer."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, model_validator

from broker.adapters.exports import Layout
from broker.adapters.model import Stage
from broker.addresses import MOST_URL
from broker.environments.model import EnvironmentStatus, Kind, PushState, ServesAs
from broker.environments.service import EnvironmentChanges, NewEnvironment
from broker.environments.tables import Environment, EnvironmentPush
from broker.http.languages import Say
from broker.http.plain_text import PlainLine
from broker.http.shapes import RequestBody, created_at_field, read_fields, written_like
from broker.webhooks.signatures import is_secret
from broker.work import Actor

MOMENT = "2026-11-24T10:00:00Z"
Name = Annotated[
    PlainLine,
    Field(min_length=1, max_length=100, pattern=r"\S", description="For people.", examples=["GPU box of the studio"]),
]
Url = Annotated[
    PlainLine,
    Field(
        min_length=1,
        max_length=MOST_URL,
        description="Where the server is, without `/v1`; of a webhook: where it listens.",
        examples=["https://models.example.com"],
    ),
]
TOKEN_PATTERN = r"^[\x21-\x7e]{8,500}$"  # noqa: S105 (how one is written)
Token = Annotated[
    PlainLine,
    written_like(TOKEN_PATTERN, "a-long-token-of-yours: 8 to 500 letters, digits and signs, without blanks"),
    Field(
        pattern=TOKEN_PATTERN,
        description="What authenticates the broker there (`Authorization: Bearer …`); of a webhook: the secret that "
        "signs, `whsec_…`. Kept sealed, shown never.",
        examples=["a-long-token-of-yours"],
    ),
]


class CallIn(RequestBody):
    """A request of a server of another kind."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"] = Field(
        default="POST", description="Its method.", examples=["POST"]
    )
    path: PlainLine = Field(
        min_length=1,
        max_length=300,
        pattern=r"^/",
        description="Its path, behind the URL; `{served_as}` is filled in.",
        examples=["/v1/set_lora"],
    )
    body: dict[str, Any] | None = Field(
        default=None,
        max_length=50,
        description="Its JSON body; in texts `{served_as}`, `{adapter_id}`, `{name}`, `{version}`, `{base_model}`, "
        "`{sha256}`, `{path}` (where there is a folder) and `{download}` (the path of this API) are filled in.",
        examples=[{"lora_nickname": "{served_as}", "lora_path": "{path}"}],
    )
    sends_file: bool = Field(
        default=False, description="Whether the body is the `.safetensors` file itself.", examples=[False]
    )

    @model_validator(mode="after")
    def _check_body(self) -> Self:
        if self.sends_file and self.body is not None:
            raise ValueError("body: goes only where sends_file is false, since the file is the body there")
        return self


class OptionsIn(RequestBody):
    """What a kind of server is told besides."""

    folder: PlainLine | None = Field(
        default=None,
        max_length=500,
        pattern=r"^/",
        description="A folder of this broker's machine that the server sees, too: files are put there. Staff alone.",
        examples=["/srv/adapters"],
    )
    folder_there: PlainLine | None = Field(
        default=None,
        max_length=500,
        pattern=r"^/",
        description="Where the server sees that folder; null: at the same path.",
        examples=["/mnt/adapters"],
    )
    layout: Layout | None = Field(
        default=None,
        description="In which layout a server is given the file; null: peft's.",
        examples=["diffusers"],
    )
    load: CallIn | None = Field(
        default=None,
        description="Of kind `http`: the request that loads an adapter.",
        examples=[{"path": "/v1/set_lora", "body": {"lora_nickname": "{served_as}"}}],
    )
    unload: CallIn | None = Field(
        default=None,
        description="Of kind `http`: the one that lets go of it; null: none.",
        examples=[{"method": "DELETE", "path": "/loras/{served_as}"}],
    )


class EnvironmentIn(RequestBody):
    name: Name
    stage: Stage = Field(description="Which stage it serves.", examples=["test"])
    kind: Kind = Field(
        description="`trainer_serve`: sent the file (`trainer serve --take-adapters`); `vllm`: its own "
        "`/v1/load_lora_adapter`; `http`: the requests in `options`; `webhook`: told, signed by Standard Webhooks.",
        examples=["trainer_serve"],
    )
    url: Url
    token: Token | None = Field(
        default=None, description="What authenticates the broker there, or signs.", examples=["a-long-token-of-yours"]
    )
    serves_as: ServesAs | None = Field(
        default=None,
        description="By which name it knows an adapter: `name`, always the same, so that each promotion swaps what is "
        "behind it; `version`: `cyberpunk_v3`; `id`: `ada_…`. Null: `name`, and `id` at one of the house.",
        examples=["name"],
    )
    options: OptionsIn = Field(
        default_factory=OptionsIn, description="What its kind is told besides.", examples=[{"folder": "/srv/adapters"}]
    )
    customer_id: str | None = Field(
        default=None,
        description="Whose adapters it serves; with a staff key null: those of all customers.",
        examples=["cus_01k"],
    )
    project_id: str | None = Field(
        default=None, description="Only this project's; null: of all projects.", examples=["prj_01k"]
    )

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if (self.kind is Kind.HTTP) != (self.options.load is not None):
            raise ValueError("options.load: goes with kind http, and is needed there")
        if self.kind is Kind.WEBHOOK and self.token is not None and not is_secret(self.token):
            raise ValueError("token: of a webhook is a secret like whsec_…; leave it out to have one made")
        return self

    def read_environment(self, actor: Actor) -> NewEnvironment:
        customer_id = actor.customer_id or self.customer_id
        serves_as = self.serves_as or (ServesAs.ID if customer_id is None else ServesAs.NAME)
        options = self.options.model_dump(exclude_none=True)
        told = {"token": self.token, "project_id": self.project_id}
        return NewEnvironment(customer_id, self.name, self.stage.value, self.kind, self.url, serves_as, options, **told)


class EnvironmentChangesIn(RequestBody):
    name: Name | None = Field(default=None, description="For people.", examples=["GPU box"])
    url: Url | None = Field(default=None, description="Where it is.", examples=["https://models.example.com"])
    token: Token | None = Field(default=None, description="Another token.", examples=["another-long-token"])
    options: OptionsIn | None = Field(default=None, description="All options anew.", examples=[None])
    status: EnvironmentStatus | None = Field(
        default=None,
        description="disabled: nothing is pushed; enabled: what it lacks is pushed.",
        examples=["enabled"],
    )

    def read_changes(self) -> EnvironmentChanges:
        options = None if self.options is None else self.options.model_dump(exclude_none=True)
        return EnvironmentChanges(self.name, self.url, self.token, options, self.status)


class EnvironmentOut(BaseModel):
    id: str = Field(description="Environment id.", examples=["env_01k"])
    object: Literal["environment"] = Field(
        default="environment", description="Kind of object.", examples=["environment"]
    )
    customer_id: str | None = Field(
        description="Whose adapters it serves; null: of all customers.", examples=["cus_01k"]
    )
    project_id: str | None = Field(description="Of which project alone.", examples=["prj_01k"])
    name: str = Field(description="For people.", examples=["GPU box of the studio"])
    stage: Stage = Field(description="Which stage it serves.", examples=["test"])
    kind: Kind = Field(description="By which call it takes adapters.", examples=["trainer_serve"])
    url: str | None = Field(
        description="Where it is; null of one of the house's, for customers.", examples=["https://models.example.com"]
    )
    serves_as: ServesAs = Field(description="By which name it knows an adapter.", examples=["name"])
    options: dict[str, Any] | None = Field(
        description="What its kind is told besides; null as `url` is.", examples=[{}]
    )
    has_token: bool = Field(description="Whether a token is kept for it.", examples=[True])
    status: EnvironmentStatus = Field(description="Whether it is pushed to.", examples=["enabled"])
    answered_at: datetime | None = Field(
        description="When it last told what it serves (UTC); null: not yet, or it cannot be asked.",
        examples=["2026-11-24T10:00:00Z"],
    )
    error: str | None = Field(description="Why it did not, when it was asked last.", examples=[None])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: Environment, actor: Actor, **more: Any) -> Self:
        """Describe an environment; where one of the house's is, and what it says, is told to staff alone."""
        told = read_fields(cls, row) | {"has_token": row.token is not None} | more
        if actor.customer_id is not None and row.is_of_staff:
            told |= {"url": None, "options": None, "error": None if row.error is None else "it does not answer"}
        return cls.model_validate(told)

    def said(self, say: Say) -> Self:
        """Tell why it does not answer as its reader is told sentences."""
        return self if self.error is None else self.model_copy(update={"error": say(self.error)})


class NewEnvironmentOut(EnvironmentOut):
    secret: str | None = Field(
        default=None,
        description="Of a webhook for which one was made: what signs, shown this once; null where a retry gets the "
        "same answer again.",
        examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"],
    )


class PushOut(BaseModel):
    id: str = Field(description="Push id.", examples=["psh_01k"])
    object: Literal["environment_push"] = Field(
        default="environment_push", description="Kind of object.", examples=["environment_push"]
    )
    customer_id: str = Field(description="Whose adapter it is.", examples=["cus_01k"])
    project_id: str | None = Field(description="Of which project.", examples=["prj_01k"])
    environment_id: str = Field(description="Where to.", examples=["env_01k"])
    environment_name: str = Field(description="Its name.", examples=["GPU box of the studio"])
    name: str = Field(description="Of which adapters it serves one.", examples=["cyberpunk"])
    stage: Stage = Field(description="Which stage it serves.", examples=["test"])
    adapter_id: str | None = Field(description="What it is to serve; null: nothing.", examples=["ada_01k"])
    live_adapter_id: str | None = Field(description="What it last confirmed to serve.", examples=["ada_01j"])
    served_as: str | None = Field(
        description="By which name it serves that: the `model` of a request there.", examples=["cyberpunk"]
    )
    state: PushState = Field(
        description="pushing; live: confirmed; failed: see `error`, it is tried again; gone: nothing is served.",
        examples=["live"],
    )
    error: str | None = Field(description="Why it failed.", examples=[None])
    attempts: int = Field(description="How often it was tried since it was wanted.", examples=[1])
    not_before: datetime = Field(description="When it is tried next, unless it is live (UTC).", examples=[MOMENT])
    live_at: datetime | None = Field(description="When something was last confirmed (UTC).", examples=[MOMENT])
    changed_at: datetime = Field(description="Since when this is wanted (UTC).", examples=[MOMENT])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: EnvironmentPush) -> Self:
        return cls.model_validate(read_fields(cls, row))

    def said(self, say: Say) -> Self:
        """Tell why it failed as its reader is told sentences."""
        return self if self.error is None else self.model_copy(update={"error": say(self.error)})


class PushedAgainOut(BaseModel):
    object: Literal["environment_pushes"] = Field(
        default="environment_pushes", description="Kind of object.", examples=["environment_pushes"]
    )
    environment_id: str = Field(description="Where to.", examples=["env_01k"])
    pushes: int = Field(description="So many adapters are pushed again.", examples=[3])
