"""API shapes of a customer's exit."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from broker.http.plain_text import PlainLine
from broker.http.shapes import RequestBody, created_at_field


class DeletionIn(RequestBody):
    confirm: PlainLine = Field(
        min_length=1,
        max_length=200,
        description="The customer's name, exactly: this cannot be undone.",
        examples=["Acme"],
    )


class DeletionOut(BaseModel):
    id: str = Field(description="Deletion id.", examples=["del_01k"])
    object: Literal["customer_deletion"] = Field(
        default="customer_deletion", description="Kind of object.", examples=["customer_deletion"]
    )
    customer_id: str = Field(description="Whose.", examples=["cus_01k"])
    is_complete: bool = Field(
        description="Whether every file is gone; the next sweep (BROKER_RETENTION_SECONDS) takes those that are not.",
        examples=[True],
    )
    manifest: dict[str, Any] = Field(
        description="What was deleted, with the hash of each file, and when it was last looked for.",
        examples=[{"object": "deletion_manifest", "entries": [{"kind": "adapter", "is_gone": True}]}],
    )
    signature: str = Field(
        description="Ed25519 signature (base64) of the manifest as JSON with sorted keys and no spaces, in UTF-8.",
        examples=["3q2+7w…"],
    )
    public_key: str = Field(description="Of this installation, base64 of 32 bytes.", examples=["Kx7w…"])
    created_at: datetime = created_at_field()
