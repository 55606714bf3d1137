"""Evidence of a final invoice: its lines, the charges under them, the metered intervals under those, sealed.

What it tells never changes, so neither does its seal. `pricing/evidence` says what the file means and verifies it.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from broker import errors
from broker.billing.model import InvoiceKind, InvoiceStatus, LineKind
from broker.billing.service import get_invoice, list_lines
from broker.billing.tables import Invoice, InvoiceLine
from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.jobs import service as jobs
from broker.ledger import service as ledger
from broker.ledger.service import MonthCharge
from broker.metering.outside.streams import list_stream_keys
from broker.metering.reading.charged_intervals import ChargedInterval, list_charged_intervals
from broker.work import Work
from pricing.evidence.document import FORMAT
from pricing.evidence.sealing import Json, seal_evidence
from pricing.money import DEFAULT_CURRENCY, Money
from pricing.rate_card import RateCard

WORTH_COMPRESSING = 10_000  # bytes
PAID_BY_A_GRANT = frozenset({LineKind.USAGE, LineKind.CORRECTION})


async def read_evidence(work: Work, invoice_id: str) -> Json:
    """Read the evidence of a final invoice, sealed. Raises: NotFound, IllegalTransition."""
    invoice = await get_invoice(work, invoice_id)
    if invoice.status == InvoiceStatus.DRAFT:
        raise errors.IllegalTransition(
            f"Invoice {invoice.id} is a draft, and may still change; its evidence is there once it is finalized.",
            status_before=invoice.status,
        )
    terms = await contracts.get_contract(work, invoice.contract_id)
    charges = await _list_charges(work, invoice)
    lines = await list_lines(work, invoice.id)
    named = {charge.rate_card_version for charge in charges} | {line.rate_card_version for line in lines}
    cards = [await contracts.get_rate_card(work, version) for version in sorted(filter(None, named))]
    return seal_evidence(
        {
            "object": "invoice_evidence",
            "format": FORMAT,
            "invoice": _describe_invoice(invoice, terms),
            "rate_cards": [_describe_card(card) for card in cards],
            "grants": await _list_grants(work, charges),
            "lines": describe_lines(lines, await _list_leading(work, invoice)),
            "charges": [_describe_charge(charge) for charge in charges],
            "runs": await _list_runs(work, invoice, charges),
        }
    )


async def _list_charges(work: Work, invoice: Invoice) -> list[MonthCharge]:
    if invoice.kind != InvoiceKind.USAGE or invoice.month is None:
        return []
    return await ledger.list_month_charges(work, invoice.contract_id, invoice.month)


async def _list_leading(work: Work, invoice: Invoice) -> set[Any]:
    return set() if invoice.month is None else await ledger.list_leading_lines(work, invoice.contract_id, invoice.month)


def _describe_invoice(invoice: Invoice, terms: ContractTerms) -> Json:
    assert invoice.number is not None, "it is final"
    assert invoice.finalized_at is not None, "it is final"
    own = terms if invoice.month is None else terms.of_month(invoice.month)
    return {
        "id": invoice.id,
        "number": invoice.number,
        "kind": invoice.kind,
        "month": invoice.month,
        "customer_id": invoice.customer_id,
        "contract_id": invoice.contract_id,
        "contract_number": invoice.contract_number,
        "plan": own.plan.value,
        "currency": DEFAULT_CURRENCY,
        "tax_mode": invoice.tax_mode,
        "tax_rate": None if invoice.tax_rate is None else write_decimal(invoice.tax_rate),
        "tax": invoice.tax.format_amount(),
        "total": invoice.total.format_amount(),
        "finalized_at": write_moment(invoice.finalized_at),
    }


def _describe_card(card: RateCard) -> Json:
    return {"card": card.to_json_dict()}


async def _list_grants(work: Work, charges: Iterable[MonthCharge]) -> list[Json]:
    ids = sorted({charge.grant_id for charge in charges if charge.grant_id is not None})
    return [_describe_grant(await contracts.get_grant(work, grant_id)) for grant_id in ids]


def _describe_grant(grant: GrantTerms) -> Json:
    return {
        "id": grant.id,
        "kind": grant.kind.value,
        "meter": grant.unit.value,
        "unit_price": write_decimal(grant.unit_price),
        "advance": grant.advance,
    }


def describe_lines(lines: Sequence[InvoiceLine], leading: set[Any]) -> list[Json]:
    """Describe lines as evidence tells them; one of usage is billable where no line after it takes it off. Pure."""
    taken_off = {line.position - 1 for line in lines if line.kind == LineKind.ADVANCE}
    return [_describe_line(line, leading, billable=line.position not in taken_off) for line in lines]


def _describe_line(line: InvoiceLine, leading: set[Any], *, billable: bool) -> Json:
    key = (line.job_id, line.used_month, line.meter, line.unit_price, billable)
    return {
        "position": line.position,
        "kind": line.kind,
        "description": line.description,
        "job_id": line.job_id,
        "project_id": line.project_id,
        "meter": line.meter,
        "quantity": line.quantity,
        "unit_price": None if line.unit_price is None else write_decimal(line.unit_price),
        "rate_card_version": line.rate_card_version,
        "used_month": line.used_month,
        "billable": billable,
        "leads": line.kind in PAID_BY_A_GRANT and key in leading,
        "amount": Money(line.amount_micros).format_amount(),
        "basis": line.basis,
    }


def _describe_charge(charge: MonthCharge) -> Json:
    return asdict(charge) | {"meter": charge.meter.value, "unit_price": write_decimal(charge.unit_price)}


async def _list_runs(work: Work, invoice: Invoice, charges: Sequence[MonthCharge]) -> list[Json]:
    if not charges:
        return []
    assert invoice.finalized_at is not None, "it is final"
    job_ids = {charge.run_id: charge.job_id for charge in charges}
    named = {charge.added_by for charge in charges if charge.added_by is not None}
    numbers, until = _list_numbers(charges), invoice.finalized_at
    found = await list_charged_intervals(work, numbers, until=until, amended_by=named)
    streams = await list_stream_keys(work, [invoice.contract_id])
    gpu_types = await jobs.list_gpu_types(work, job_ids.keys() - streams.keys())
    gpu_types |= {stream_id: key.gpu_type for stream_id, key in streams.items()}
    return [
        {
            "run_id": run_id,
            "job_id": job_id,
            "gpu_type": gpu_types.get(run_id),
            "intervals": [_describe_interval(interval) for interval in found.get(run_id, ())],
        }
        for run_id, job_id in sorted(job_ids.items())
    ]


def _list_numbers(charges: Iterable[MonthCharge]) -> Mapping[str, set[int]]:
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    for charge in charges:
        numbers[charge.run_id].update(range(charge.first, charge.last + 1))
    return numbers


def _describe_interval(interval: ChargedInterval) -> Json:
    told = asdict(interval)
    del told["run_id"]
    return told | {"started_at": write_moment(interval.started_at), "ended_at": write_moment(interval.ended_at)}


def write_evidence(evidence: Json) -> bytes:
    """Write the bytes of the file, as people can read them."""
    return (json.dumps(evidence, ensure_ascii=False, indent=1) + "\n").encode()


def pack_evidence(content: bytes, accepted: str) -> tuple[bytes, dict[str, str]]:
    """Compress a long file for who accepts gzip: a month of many intervals is a tenth of its length then.

    Returns what is sent and the headers that say so; the same file is the same bytes. Pure.
    """
    varies = {"Vary": "Accept-Encoding"}
    if len(content) < WORTH_COMPRESSING or "gzip" not in _list_accepted(accepted):
        return content, varies
    return gzip.compress(content, compresslevel=6, mtime=0), varies | {"Content-Encoding": "gzip"}


def _list_accepted(accepted: str) -> set[str]:
    """List the encodings that a header accepts: not those that it refuses by a weight of zero."""
    parts = (part.replace(" ", "").lower().partition(";q=") for part in accepted.split(","))
    return {name for name, _sign, weight in parts if weight.strip("0.") or not weight}


def write_decimal(value: Decimal) -> str:
    """Write plain digits without zeros at the end."""
    return format(value.normalize(), "f")


def write_moment(moment: datetime) -> str:
    """Write a moment in UTC, as the API does."""
    return moment.isoformat().replace("+00:00", "Z")
