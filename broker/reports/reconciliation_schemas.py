"""API shape of the reconciliation."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from broker.reports.reconciliation import Difference, Reconciled


class SidesOut(BaseModel):
    unit: str = Field(description="gpu_seconds, tokens or micro_yuan.", examples=["tokens"])
    left: int = Field(description="Sum of the first side.", examples=[6440])
    right: int = Field(description="Sum of the second side.", examples=[6440])


class DifferenceOut(SidesOut):
    contract_id: str | None = Field(description="The contract; null: none is named.", examples=["con_01k"])

    @classmethod
    def of(cls, found: Difference) -> "DifferenceOut":
        return cls(contract_id=found.contract_id, unit=found.unit, left=found.left, right=found.right)


class LinkOut(BaseModel):
    name: str = Field(description="Which two sums must agree.", examples=["usage events = captures"])
    agrees: bool = Field(description="Whether they do, for every contract.", examples=[True])
    totals: list[SidesOut] = Field(description="Both sums over all contracts, by unit.", examples=[[]])
    differences: list[DifferenceOut] = Field(description="The contracts for which they differ.", examples=[[]])

    @classmethod
    def of(cls, link: Reconciled) -> "LinkOut":
        totals = [SidesOut(unit=unit, left=left, right=right) for unit, (left, right) in link.totals.items()]
        differences = [DifferenceOut.of(found) for found in link.differences]
        return cls(name=link.name, agrees=not differences, totals=totals, differences=differences)


class ReconciliationOut(BaseModel):
    object: Literal["reconciliation"] = Field(
        default="reconciliation", description="Kind of object.", examples=["reconciliation"]
    )
    as_of: datetime = Field(description="When it was made (UTC).", examples=["2026-11-24T10:00:00Z"])
    agrees: bool = Field(description="Whether all of it agrees.", examples=[True])
    data: list[LinkOut] = Field(description="From usage to payments.", examples=[[]])

    @classmethod
    def of(cls, links: Sequence[Reconciled], as_of: datetime) -> "ReconciliationOut":
        data = [LinkOut.of(link) for link in links]
        return cls(as_of=as_of, agrees=all(link.agrees for link in data), data=data)
