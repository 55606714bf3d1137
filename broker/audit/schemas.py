"""API shapes of the record of decisions."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.http.shapes import created_at_field

CHANGED_EXAMPLE = {"kind": "queue", "id": "standard", "before": {"weight": 100}, "after": {"weight": 200}}


class ChangedOut(BaseModel):
    kind: Literal[
        "queue",
        "pool",
        "job",
        "jobs",
        "contract_quota",
        "simulation",
        "chart_of_accounts",
        "key_limit",
        "customer_limit",
    ] = Field(description="Kind of object.", examples=["queue"])
    id: str = Field(description="Its id, or name.", examples=["standard"])
    before: dict[str, Any] = Field(description="By field, as it was.", examples=[{"weight": 100}])
    after: dict[str, Any] = Field(description="By field, as the decision left it.", examples=[{"weight": 200}])


class AuditEntryOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    object: Literal["audit_entry"] = Field(default="audit_entry", description="Kind.", examples=["audit_entry"])
    id: str = Field(description="Id of the entry.", examples=["aud_01k"])
    action: str = Field(description="What was done: the name of the operation.", examples=["change_queue"])
    object_id: str | None = Field(description="To which object.", examples=["standard"])
    customer_id: str | None = Field(description="Whom it concerns, where that is one.", examples=["cus_01k"])
    actor_role: str = Field(description="Role of who did it.", examples=["ops"])
    actor_id: str = Field(description="Their API key's id.", examples=["key_01k"])
    sent: dict[str, Any] = Field(description="What was sent with it.", examples=[{"weight": 200}])
    changed: ChangedOut | None = Field(
        description="What it changed, where that can be undone by `POST /v1/audit/{entry_id}/undo`.",
        examples=[CHANGED_EXAMPLE],
    )
    undoes: str | None = Field(description="The entry whose decision this one took back.", examples=[None])
    created_at: datetime = created_at_field()
