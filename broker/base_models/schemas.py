"""API shapes of base models."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from broker.base_models.model import ListedModel, Need


class BaseModelOut(BaseModel):
    id: str = Field(description="The name by which a configuration names it.", examples=["smollm2-135m-instruct"])
    object: Literal["base_model"] = Field(default="base_model", description="Kind of object.", examples=["base_model"])
    name: str = Field(description="The same name.", examples=["smollm2-135m-instruct"])
    aliases: list[str] = Field(description="Other spellings that are understood.", examples=[["SmolLM2 135M Instruct"]])
    family: str = Field(description="causal_lm, chatglm, stable_diffusion or flux.", examples=["causal_lm"])
    learns_from: Literal["text", "images"] = Field(description="The kind of its data sets.", examples=["text"])
    licence: str = Field(description="Its licence, as far as it is known.", examples=["Apache-2.0"])
    parameters: int = Field(description="Parameters of the network that is trained.", examples=[134515008])
    context_length: int = Field(description="Most tokens of a row, or of a caption.", examples=[8192])
    resolution: int | None = Field(description="Side of the pictures it was made for; null: text.", examples=[512])
    weights_gib: float = Field(description="Memory of its weights at 16 bits a number, in GiB.", examples=[0.25])
    can_be_quoted: bool = Field(description="Whether a job with it can be quoted now.", examples=[True])
    reason: str | None = Field(description="Why it cannot be quoted, and the cure; null where it can.", examples=[None])
    needs: list[Need] = Field(
        description="What an operator still has to install; weights that it put on workers itself are not known here.",
        examples=[[]],
    )
    origin: Literal["catalogue", "operator"] = Field(description="Who brought it.", examples=["catalogue"])
    sha256: str | None = Field(
        description="SHA-256 of its files, where an operator added it; workers check it.", examples=["9f86d081…"]
    )
    added_at: datetime | None = Field(description="When an operator added it (UTC).", examples=["2026-11-24T08:00:00Z"])

    @classmethod
    def of(cls, listed: ListedModel) -> "BaseModelOut":
        profile = listed.profile
        return cls(
            id=profile.name,
            name=profile.name,
            aliases=list(profile.aliases),
            family=profile.family,
            learns_from="text" if profile.is_text else "images",
            licence=profile.licence,
            parameters=profile.parameters,
            context_length=profile.context_length,
            resolution=profile.resolution,
            weights_gib=round(listed.weights_gib, 2),
            can_be_quoted=listed.reason is None,
            reason=listed.reason,
            needs=listed.list_needs(),
            origin="catalogue" if profile.weights_sha256 is None else "operator",
            sha256=profile.weights_sha256,
            added_at=listed.added_at,
        )
