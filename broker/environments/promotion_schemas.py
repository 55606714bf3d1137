"""API shapes of promotions and of what stages have."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, Field

from broker.adapters.model import Stage
from broker.adapters.promoting import AdapterPromotion, AdapterStage
from broker.environments.schemas import PushOut
from broker.environments.tables import EnvironmentPush
from broker.http.shapes import Reason, RequestBody, created_at_field, read_fields


class PromoteIn(RequestBody):
    stage: Stage = Field(description="Where to: `test`, or `production`.", examples=["test"])
    reason: Reason = Field(description="Why, for the record.", examples=["validation loss 1.08, better than v2"])


class UndoIn(RequestBody):
    reason: Reason = Field(description="Why, for the record.", examples=["worse on long prompts"])


class PromotionOut(BaseModel):
    id: str = Field(description="Promotion id.", examples=["prm_01k"])
    object: Literal["promotion"] = Field(default="promotion", description="Kind of object.", examples=["promotion"])
    customer_id: str = Field(description="Whose adapter it is.", examples=["cus_01k"])
    project_id: str | None = Field(description="Of which project.", examples=["prj_01k"])
    name: str = Field(description="Of which adapters.", examples=["cyberpunk"])
    stage: Stage = Field(description="Where to.", examples=["test"])
    adapter_id: str | None = Field(description="What became current; null: nothing any more.", examples=["ada_01k"])
    before_id: str | None = Field(description="What was current before; an undo goes back to it.", examples=["ada_01j"])
    undoes: str | None = Field(description="The promotion that this one takes back.", examples=[None])
    reason: str | None = Field(description="Why.", examples=["validation loss 1.08, better than v2"])
    actor_role: str = Field(description="The role of whoever said so.", examples=["customer"])
    actor_id: str = Field(description="By which key.", examples=["key_01k"])
    is_current: bool = Field(description="Whether it is the last one of its name at its stage.", examples=[True])
    pushes: list[PushOut] = Field(
        description="While it is current: how far each environment of the stage is, of those the key may see.",
        examples=[[]],
    )
    created_at: datetime = created_at_field()

    @classmethod
    def of(cls, row: AdapterPromotion, *, is_current: bool, pushes: Sequence[EnvironmentPush] = ()) -> Self:
        told = {"is_current": is_current, "pushes": [PushOut.of(each) for each in pushes] if is_current else []}
        return cls.model_validate(read_fields(cls, row) | told)


class StageOut(BaseModel):
    id: str = Field(description="Its id.", examples=["stg_01k"])
    object: Literal["adapter_stage"] = Field(
        default="adapter_stage", description="Kind of object.", examples=["adapter_stage"]
    )
    customer_id: str = Field(description="Whose adapter it is.", examples=["cus_01k"])
    project_id: str | None = Field(description="Of which project.", examples=["prj_01k"])
    name: str = Field(description="Of which adapters.", examples=["cyberpunk"])
    stage: Stage = Field(description="At which stage.", examples=["test"])
    adapter_id: str = Field(description="What is current.", examples=["ada_01k"])
    promotion_id: str = Field(description="The promotion that made it so.", examples=["prm_01k"])
    changed_at: datetime = Field(description="Since when (UTC).", examples=["2026-11-24T10:00:00Z"])

    @classmethod
    def of(cls, row: AdapterStage) -> Self:
        return cls.model_validate(read_fields(cls, row))
