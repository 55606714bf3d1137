"""API shape of what would start a waiting job sooner."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from broker.http.shapes import MoneyOut
from broker.jobs.rules.sooner import SoonerStart


class SoonerStartOut(BaseModel):
    """A GPU type that the job does not accept yet: `PATCH` it into its `gpu_types`, and it starts sooner."""

    sku: str = Field(description="Type of device.", examples=["rtx-4090"])
    starts_at: datetime = Field(
        description="When half of such jobs would have started there (UTC).", examples=["2026-11-24T10:00:00Z"]
    )
    extra: MoneyOut = Field(
        description="What more it costs there, below zero: less, than on the type that it would rather have: what is "
        "left of it, at p90 and at the prices of now.",
        examples=[{"amount": "12.40", "currency": "CNY"}],
    )
    message: str = Field(description="The same in words.", examples=["on rtx-4090 now: +12.40 CNY"])
    message_zh: str = Field(description="The same in Chinese.", examples=["改用 rtx-4090 现在即可开始：+12.40 元"])

    @classmethod
    def of(cls, sooner: SoonerStart) -> Self:
        return cls(
            sku=sooner.sku,
            starts_at=sooner.starts_at,
            extra=MoneyOut.of(sooner.extra),
            message=sooner.message,
            message_zh=sooner.message_zh,
        )
