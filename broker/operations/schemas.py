"""API shapes of what ops does across features."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from broker.work import Change


class UndoneOut(BaseModel):
    object: Literal["undone_decision"] = Field(
        default="undone_decision", description="Kind of object.", examples=["undone_decision"]
    )
    undoes: str = Field(description="The entry of the decision that was taken back.", examples=["aud_01k"])
    kind: Literal["queue", "pool", "job"] = Field(description="Kind of what it was about.", examples=["queue"])
    id: str = Field(description="Its id, or name.", examples=["standard"])
    before: dict[str, Any] = Field(description="By field, as it was until now.", examples=[{"weight": 200}])
    after: dict[str, Any] = Field(description="By field, as it is again.", examples=[{"weight": 100}])

    @classmethod
    def of(cls, change: Change) -> "UndoneOut":
        told = {"undoes": change.undoes, "kind": change.kind, "id": change.object_id}
        return cls.model_validate({**told, "before": change.before, "after": change.after})
