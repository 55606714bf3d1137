"""API shapes of customers, projects and API keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from broker.http.plain_text import PlainLine
from broker.http.scopes import SCOPES, Scope
from broker.http.shapes import MaxCost, Moment, MoneyOut, RequestBody, created_at_field
from broker.identity.members import OF_PROJECTS, USUALLY
from broker.identity.tables import ApiKey, ProjectMember
from pricing.money import Money

MOST_OVERLAP_HOURS = 720
NAME = Field(min_length=1, max_length=200, description="A name for people.", examples=["Acme Tea"])


PER_MINUTE_EXAMPLE = 600
STORAGE_EXAMPLE = 200 * 1024**3


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
    storage_limit_bytes: int | None = Field(
        description="Most bytes that its data sets and open uploads may have; null: as this broker is set; 0: any. "
        "`GET /v1/customers/{id}/storage` tells what they have.",
        examples=[STORAGE_EXAMPLE],
    )
    verification: Literal["unverified", "submitted", "verified", "rejected"] = Field(
        description="How far it is known who the customer is (实名).", examples=["verified"]
    )
    verified_name: str | None = Field(
        description="Its name by law, as it was submitted.", examples=["阿克米茶业有限公司"]
    )
    verification_note: str | None = Field(description="Why it was rejected.", examples=["The licence has expired."])
    verified_at: datetime | None = Field(description="When it was verified (UTC).", examples=["2026-11-25T02:00:00Z"])
    created_at: datetime = created_at_field()


class VerificationIn(RequestBody):
    name: PlainLine = Field(
        min_length=1,
        max_length=200,
        description="The name by law: of the company, or of the person.",
        examples=["阿克米茶业有限公司"],
    )
    document_number: PlainLine = Field(
        min_length=4,
        max_length=40,
        pattern=r"^[0-9A-Za-z-]+$",
        description="Unified social credit code (统一社会信用代码), or number of the identity document. It is told to "
        "finance alone.",
        examples=["91310000MA1K35X123"],
    )


class VerificationOut(BaseModel):
    object: Literal["verification"] = Field(default="verification", description="Kind.", examples=["verification"])
    customer_id: str = Field(description="Whose.", examples=["cus_01k"])
    verification: str = Field(description="How far it is.", examples=["submitted"])
    name: str | None = Field(description="The name by law.", examples=["阿克米茶业有限公司"])
    document_number: str | None = Field(
        description="The number of the document; null where none was submitted, or another secret has sealed it.",
        examples=["91310000MA1K35X123"],
    )


class VerdictIn(RequestBody):
    verdict: Literal["verified", "rejected", "unverified"] = Field(
        description="What finance found; `unverified` takes a verification back.", examples=["verified"]
    )
    note: PlainLine | None = Field(
        default=None,
        max_length=500,
        description="Why, for the customer; needed to reject.",
        examples=["Expired licence."],
    )


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
        "the rest); who may write may read. `production:write`: may promote adapters to production. Null: all. They "
        "never change, and a key with scopes opens no console.",
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


class CustomerLimitsIn(RequestBody):
    """Limits to set; one that is left out stays, one that is null is the broker's setting again."""

    requests_per_minute: int | None = Field(
        default=None,
        ge=0,
        le=10**9,
        description="Most requests in a minute of each key without a limit of its own; 0: any. Null: this broker's.",
        examples=[PER_MINUTE_EXAMPLE],
    )
    storage_limit_bytes: int | None = Field(
        default=None,
        ge=0,
        le=10**15,
        description="Most bytes that its data sets and open uploads may have; 0: any. Null: this broker's limit.",
        examples=[STORAGE_EXAMPLE],
    )

    @model_validator(mode="after")
    def _require_a_change(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("names no limit: send requests_per_minute or storage_limit_bytes")
        return self

    @property
    def changes(self) -> dict[str, int | None]:
        return {name: getattr(self, name) for name in self.model_fields_set}


class CustomerKeyIn(ApiKeyIn):
    max_cost: MaxCost | None = Field(
        default=None,
        description="Most a job may cost, in yuan, that is ordered by a client of another service (a facade) and says "
        "no limit of its own; null: such a job is refused.",
        examples=["38.20"],
    )

    confined_to_projects: bool = Field(
        default=False,
        description="Whether it acts within the projects alone of which it is made a member, and sees no job or "
        "adapter of others; it may train there, with the scope `production:write` promote to production, and no more.",
        examples=[True],
    )

    @model_validator(mode="after")
    def _check_scopes_of_members(self) -> Self:
        if self.confined_to_projects and self.scopes is not None and not set(self.scopes) <= set(OF_PROJECTS):
            raise ValueError(f"scopes: of a key that is confined to projects they are of {', '.join(OF_PROJECTS)}")
        return self

    def read_scopes(self) -> Sequence[str] | None:
        return USUALLY if self.confined_to_projects and self.scopes is None else self.scopes

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
    is_confined: bool = Field(
        description="Whether it acts within the projects alone of which it is a member.", examples=[False]
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


class MemberIn(RequestBody):
    role: Literal["viewer", "member"] = Field(description="`viewer` looks, `member` trains, too.", examples=["member"])


class MemberOut(BaseModel):
    object: Literal["project_member"] = Field(
        default="project_member", description="Kind of object.", examples=["project_member"]
    )
    project_id: str = Field(description="The project.", examples=["prj_01k"])
    customer_id: str = Field(description="Whose project it is.", examples=["cus_01k"])
    api_key_id: str = Field(description="The key that is a member.", examples=["key_01k"])
    name: str = NAME
    role: Literal["viewer", "member"] = Field(description="`viewer` looks, `member` trains, too.", examples=["member"])
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: ProjectMember, key: ApiKey) -> Self:
        own = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        return cls(**own, name=key.name)


class MembersOut(BaseModel):
    object: Literal["project_members"] = Field(
        default="project_members", description="Kind of object.", examples=["project_members"]
    )
    data: list[MemberOut] = Field(description="All of them, the earliest first.", examples=[[{"role": "member"}]])


class PersonIn(RequestBody):
    email: PlainLine = Field(
        min_length=3,
        max_length=254,
        pattern=r"^[^@\s]+@[^@\s]+$",
        description="By which mail address, verified by the provider, the person is known when it first signs in.",
        examples=["lin@acme.example"],
    )
    customer_id: str | None = Field(default=None, description="Needed with a staff key only.", examples=["cus_01k"])


class PersonOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="Person id.", examples=["per_01k"])
    object: Literal["person"] = Field(default="person", description="Kind of object.", examples=["person"])
    customer_id: str | None = Field(description="Whose; null for staff.", examples=["cus_01k"])
    api_key_id: str = Field(description="The key as which the person acts; nobody holds it.", examples=["key_01k"])
    email: str = Field(description="Mail address.", examples=["lin@acme.example"])
    signed_in_at: datetime | None = Field(
        description="When it last signed in (UTC); null: not yet.", examples=["2026-11-25T02:00:00Z"]
    )
    created_at: datetime = created_at_field()
