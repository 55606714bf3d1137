"""API shapes of customers, projects and API keys."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from broker.http.plain_text import PlainLine
from broker.http.scopes import SCOPES, Scope
from broker.http.shapes import MaxCost, Moment, MoneyOut, RequestBody, created_at_field
from broker.identity.tables import ApiKey
from pricing.money import Money

MOST_OVERLAP_HOURS = 720
NAME = Field(min_length=1, max_length=200, description="A name for people.", examples=["Acme Tea"])


PER_MINUTE_EXAMPLE = 600


class CustomerIn(RequestBody):
    name: PlainLine = NAME


class CustomerOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Customer id.", examples=["cus_01k"])
    object: Literal["customer"] = Field(default="customer", description="Kind of object.", examples=["customer"])
    name: str = NAME
    requests_per_minute: int | None = Field(
        description="Most requests in a minute of each of its keys that has no limit of its own; null: as this broker "
        "is set; 0: any.",
        examples=[PER_MINUTE_EXAMPLE],
    )
    created_at: datetime = created_at_field()


class ProjectIn(RequestBody):
    name: PlainLine = NAME
    customer_id: str | None = Field(default=None, description="Needed with a staff key only.", examples=["cus_01k"])


class ProjectOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Project id.", examples=["prj_01k"])
    object: Literal["project"] = Field(default="project", description="Kind of object.", examples=["project"])
    customer_id: str = Field(description="Whose project it is.", examples=["cus_01k"])
    name: str = NAME
    created_at: datetime = created_at_field()


class ApiKeyIn(RequestBody):
    name: PlainLine = NAME
    expires_at: Moment | None = Field(
        default=None,
        description="From when on the key is refused (UTC); null: never.",
        examples=["2027-01-01T00:00:00Z"],
    )

    scopes: list[Scope] | None = Field(
        default=None,
        min_length=1,
        max_length=len(SCOPES),
        description="What of its role the key may do, by area (`training`: jobs, data sets, quotes, adapters; "
        "`billing`: contracts, invoices, usage, reports; `operations`: queues, pools; `account`: keys, projects and "
        "the rest); who may write may read. Null: all. They never change, and a key with scopes opens no console.",
        examples=[["training:write", "billing:read"]],
    )


class RotationIn(RequestBody):
    overlap_hours: int = Field(
        default=24,
        ge=0,
        le=MOST_OVERLAP_HOURS,
        description="So many hours from now the old key is good, too; 0: no longer.",
        examples=[24],
    )
    expires_at: Moment | None = Field(
        default=None,
        description="From when on the new key is refused (UTC); null: after as long as the old one was made for.",
        examples=["2027-01-01T00:00:00Z"],
    )


class RequestLimitIn(RequestBody):
    requests_per_minute: int | None = Field(
        ge=0,
        le=10**9,
        description="Most requests in a minute; 0: any. Null: the next wider limit, of the customer or of this broker.",
        examples=[PER_MINUTE_EXAMPLE],
    )


class CustomerKeyIn(ApiKeyIn):
    max_cost: MaxCost | None = Field(
        default=None,
        description="Most a job may cost, in yuan, that is ordered by a client of another service (a facade) and says "
        "no limit of its own; null: such a job is refused.",
        examples=["38.20"],
    )

    def read_max_cost(self) -> Money | None:
        return None if self.max_cost is None else Money.from_decimal(self.max_cost)


class StaffKeyIn(ApiKeyIn):
    role: Literal["finance", "ops", "admin", "meter"] = Field(
        description="What the key may do; `meter`: report usage from outside, and nothing else.", examples=["finance"]
    )


class ApiKeyOut(BaseModel):
    id: str = Field(description="API key id (not the key).", examples=["key_01k"])
    object: Literal["api_key"] = Field(default="api_key", description="Kind of object.", examples=["api_key"])
    customer_id: str | None = Field(description="Null for a staff key.", examples=["cus_01k"])
    role: str = Field(description="customer, finance, ops, admin or meter.", examples=["customer"])
    name: str = NAME
    prefix: str = Field(description="The beginning of the key, to tell keys apart.", examples=["lbk_1a2b3c4d"])
    max_cost: MoneyOut | None = Field(
        description="Most a job of a facade's client may cost that says no limit of its own.",
        examples=[{"amount": "38.20", "currency": "CNY"}],
    )
    scopes: list[str] | None = Field(
        description="What of its role it may do; null: all.", examples=[["training:write", "billing:read"]]
    )
    requests_per_minute: int | None = Field(
        description="Most requests in a minute, where it has a limit of its own; 0: any.",
        examples=[PER_MINUTE_EXAMPLE],
    )
    replaces: str | None = Field(description="The key whose place it was made to take.", examples=["key_01j"])
    expires_at: datetime | None = Field(
        description="From when on it is refused (UTC).", examples=["2027-01-01T00:00:00Z"]
    )
    revoked_at: datetime | None = Field(description="When it was revoked (UTC).", examples=["2026-12-01T00:00:00Z"])
    last_used_at: datetime | None = Field(
        description="When it was used last (UTC), to the minute; known a minute or two later. Null: never, as far as "
        "is known.",
        examples=["2026-11-24T10:05:00Z"],
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: ApiKey, **more: Any) -> Self:
        own = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        most = None if row.max_cost_micros is None else MoneyOut.of_micros(row.max_cost_micros)
        return cls(**own, max_cost=most, **more)


class NewApiKeyOut(ApiKeyOut):
    key: str | None = Field(
        description="The key itself, shown this once; null where a retry gets the same answer again.",
        examples=["lbk_1a2b3c4d_…"],
    )


class EndedSessionsOut(BaseModel):
    object: Literal["ended_sessions"] = Field(
        default="ended_sessions", description="Kind of object.", examples=["ended_sessions"]
    )
    api_key_id: str = Field(description="The key that they were begun with.", examples=["key_01k"])
    customer_id: str | None = Field(description="Whose key it is; null for staff.", examples=["cus_01k"])
    ended: int = Field(description="So many sessions of the console have ended.", examples=[2])


class WhoAmIOut(BaseModel):
    object: Literal["identity"] = Field(default="identity", description="Kind of object.", examples=["identity"])
    role: Literal["customer", "finance", "ops", "admin"] = Field(
        description="What the key may do.", examples=["customer"]
    )
    customer: CustomerOut | None = Field(description="Whose key it is; null for staff.", examples=[{"id": "cus_01k"}])
    api_key: ApiKeyOut = Field(description="The key, without its secret.", examples=[{"id": "key_01k"}])
    version: str = Field(description="Release of the broker.", examples=["0.1.0"])
