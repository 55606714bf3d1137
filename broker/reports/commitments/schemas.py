"""API shape of the commitments report."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from broker.http.shapes import MoneyOut, as_hours
from broker.reports.commitments.report import CommitmentRow, CommitmentsReport, EndingGrant
from broker.reports.report_files import ReportTable
from pricing.money import Money
from pricing.usage import Unit


def _percent(description: str, example: str) -> Any:
    return Field(description=description, examples=[example])


def _moment(description: str) -> Any:
    return Field(description=description, examples=["2027-03-01T00:00:00Z"])


def _hours(description: str, example: str) -> Any:
    return Field(description=description, examples=[example])


class CommitmentRowOut(BaseModel):
    customer_id: str = Field(description="The customer.", examples=["cus_01k"])
    customer: str = Field(description="The customer's name.", examples=["Acme Tea"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    contract_number: str = Field(description="Its number (合同编号).", examples=["HT-2026-017"])
    plan: str = Field(description="Its plan.", examples=["long_term"])
    starts_at: datetime = _moment("Beginning of the period: the contract's term, or a year of it (UTC).")
    ends_at: datetime = _moment("End of the period (UTC).")
    committed_gpu_hours: str = _hours("Committed in the period.", "2000.0000")
    used_gpu_hours: str = _hours("Used of it.", "600.0000")
    attained_percent: str | None = _percent("Used of what is committed, in per cent.", "30.0")
    expected_gpu_hours: str = _hours("Used at the period's end at the pace of the last 30 days.", "1900.0000")
    expected_true_up: MoneyOut = Field(
        description="What will be charged for unused hours at that pace; nothing for hours that are paid ahead.",
        examples=[{"amount": "400.00", "currency": "CNY"}],
    )
    left_gpu_hours: str = _hours("What may still be used: free in grants, or of the commitment.", "1400.0000")
    weeks: int = Field(description="Of how many whole weeks the paces are, twelve at most.", examples=[8])
    pace_p50: str | None = _hours("GPU-hours of a usual week; null before two weeks are over.", "40.0000")
    exhausted_earliest: datetime | None = _moment(
        "When what is left is used up at the ninetieth percentile of weekly usage; null: not, or nobody can say."
    )
    exhausted_expected: datetime | None = _moment("The same at the fiftieth percentile.")
    exhausted_latest: datetime | None = _moment("The same at the tenth percentile.")
    used_percent: str | None = _percent("Used of all hours that were granted (使用率).", "30.0")
    covered_percent: str | None = _percent("Of all hours used, those that grants paid (覆盖率).", "100.0")

    @classmethod
    def of(cls, row: CommitmentRow) -> Self:
        terms, commitment, burn = row.terms, row.commitment, row.burn_down
        return cls(
            customer_id=terms.customer_id,
            customer=row.customer,
            contract_id=terms.id,
            contract_number=terms.contract_number,
            plan=terms.plan.value,
            starts_at=commitment.period.starts_at,
            ends_at=commitment.period.ends_at,
            committed_gpu_hours=as_hours(commitment.attained.committed),
            used_gpu_hours=as_hours(commitment.attained.used),
            attained_percent=_write(row.attained_percent),
            expected_gpu_hours=as_hours(commitment.expected.used),
            expected_true_up=MoneyOut.of(commitment.charge(commitment.expected)),
            left_gpu_hours=as_hours(row.left),
            weeks=burn.weeks,
            pace_p50=None if burn.paces is None else as_hours(int(burn.paces[1])),
            exhausted_earliest=burn.earliest,
            exhausted_expected=burn.expected,
            exhausted_latest=burn.latest,
            used_percent=_write(row.used_percent),
            covered_percent=_write(row.covered_percent),
        )


class EndingGrantOut(BaseModel):
    customer_id: str = Field(description="The customer.", examples=["cus_01k"])
    customer: str = Field(description="The customer's name.", examples=["Acme Tea"])
    contract_id: str = Field(description="The contract.", examples=["con_01k"])
    contract_number: str = Field(description="Its number (合同编号).", examples=["HT-2026-017"])
    grant_id: str = Field(description="The grant.", examples=["gra_01k"])
    kind: str = Field(description="bought, promotional or compensation.", examples=["bought"])
    meter: Unit = Field(description="What its quantities are in.", examples=["gpu_seconds"])
    quantity: int = Field(description="The whole grant, in GPU-seconds or tokens.", examples=[1_800_000])
    used: int = Field(description="Used of it.", examples=[900_000])
    left: int = Field(description="Free in it.", examples=[900_000])
    used_percent: str | None = _percent("Used of what was bought (使用率).", "50.0")
    days_left: str | None = _percent("For how many days what is free lasts at its pace of 30 days.", "12.5")
    expires_at: datetime | None = _moment("When it ends (UTC).")
    unused_at_end: int = Field(description="What will lapse at this pace.", examples=[90_000])

    @classmethod
    def of(cls, each: EndingGrant) -> Self:
        grant, balance = each.balance.terms, each.balance
        return cls(
            customer_id=grant.customer_id,
            customer=each.customer,
            contract_id=grant.contract_id,
            contract_number=each.contract_number,
            grant_id=grant.id,
            kind=grant.kind.value,
            meter=grant.unit,
            quantity=grant.quantity,
            used=balance.used,
            left=balance.free,
            used_percent=_write(balance.used_percent),
            days_left=_write(balance.days_left),
            expires_at=grant.expires_at,
            unused_at_end=each.unused_at_end,
        )


class CommitmentsOut(BaseModel):
    object: Literal["commitments_report"] = Field(
        default="commitments_report", description="Kind of object.", examples=["commitments_report"]
    )
    as_of: datetime = Field(description="When it was made (UTC).", examples=["2026-11-24T10:00:00Z"])
    data: list[CommitmentRowOut] = Field(description="By customer and contract.", examples=[[{"plan": "long_term"}]])
    grants: list[EndingGrantOut] = Field(
        description="Grants that end soon, the earliest first.", examples=[[{"grant_id": "gra_01k"}]]
    )
    committed_gpu_hours: str = _hours("Sum of what is committed.", "2000.0000")
    used_gpu_hours: str = _hours("Sum of what is used of it.", "600.0000")
    expected_true_up: MoneyOut = Field(
        description="Sum of what will be charged for unused hours.", examples=[{"amount": "400.00", "currency": "CNY"}]
    )

    @classmethod
    def of(cls, report: CommitmentsReport, as_of: datetime) -> Self:
        found = [row.commitment for row in report.rows]
        charged = (commitment.charge(commitment.expected) for commitment in found)
        return cls(
            as_of=as_of,
            data=[CommitmentRowOut.of(row) for row in report.rows],
            grants=[EndingGrantOut.of(each) for each in report.grants],
            committed_gpu_hours=as_hours(sum(each.attained.committed for each in found)),
            used_gpu_hours=as_hours(sum(each.attained.used for each in found)),
            expected_true_up=MoneyOut.of(sum(charged, Money.zero())),
        )


def _write(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def tabulate_commitments(report: CommitmentsOut) -> ReportTable:
    """Lay the contracts out as a table."""
    rows = [row.model_dump(mode="json") for row in report.data]
    stem = f"commitments-{report.as_of:%Y-%m-%d}"
    return ReportTable(stem, tuple(CommitmentRowOut.model_fields), rows, ("customer", "contract_number"))


def tabulate_grants(report: CommitmentsOut) -> ReportTable:
    """Lay the grants that end soon out as a table."""
    rows = [each.model_dump(mode="json") for each in report.grants]
    stem = f"ending-grants-{report.as_of:%Y-%m-%d}"
    return ReportTable(stem, tuple(EndingGrantOut.model_fields), rows, ("customer", "contract_number"))
