"""Lines of invoices as rows of the FOCUS export. Pure."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.reports.focus.lines import FocusLines, as_units
from pricing.money import DEFAULT_CURRENCY, Money, round_to_fen

PROVIDER = "LoRA Broker"
UNITS = {"gpu_seconds": "GPU-Hours", "tokens": "Tokens"}
METERS = {"gpu_seconds": "GPU time", "tokens": "Training tokens"}
# By the kind of line: category and frequency of the charge.
KINDS = {
    "usage": ("Usage", "Usage-Based"),
    "correction": ("Usage", "Usage-Based"),
    "commitment": ("Purchase", "One-Time"),
    "guarantee": ("Purchase", "Recurring"),
    "true_up": ("Usage", "One-Time"),
    "tier_settlement": ("Adjustment", "Usage-Based"),
    "tax": ("Tax", "Usage-Based"),
}
Row = dict[str, str | None]


def make_focus_rows(found: FocusLines) -> Iterator[Row]:
    """Make the rows of a month: of lines that are charged or were paid ahead, credit notes, cancelled orders."""
    for line in found.lines:
        if line["kind"] in KINDS:
            yield _make_row(line, found.terms[line["contract_id"]], found)
    for note in found.notes:
        yield _make_note(note, found.terms[note["contract_id"]], found.month)
    for order in found.cancelled:
        yield from _make_cancelled(order, found.terms[order["contract_id"]], found.month)


def _make_row(line: Mapping[str, Any], terms: ContractTerms, found: FocusLines) -> Row:
    amount = Money(line["amount_micros"])
    billed = Money.zero() if line["taken_off"] else amount
    listed = amount if line["list_amount_micros"] is None else Money(line["list_amount_micros"])
    category, frequency = KINDS[line["kind"]]
    row = _begin(line, terms, found.month)
    row |= {
        "BilledCost": _write(billed),
        "ContractedCost": _write(amount),
        "EffectiveCost": _write(compute_effective(line, found.grants)),
        "ListCost": _write(listed),
        "ChargeCategory": category,
        "ChargeFrequency": frequency,
        "ChargeClass": "Correction" if line["kind"] == "correction" else None,
        "ChargeDescription": line["description"],
        **_describe_period(line, terms, found.month),
    }
    row |= _describe_resource(line) | _describe_commitment(line, terms, found.grants)
    row |= _describe_price(line, terms) if line["meter"] and line["kind"] in {"usage", "correction"} else {}
    row |= _describe_unused(line, terms) if line["kind"] == "true_up" else {}
    row["PricingCurrencyEffectiveCost"] = row["EffectiveCost"]
    return row


def compute_effective(line: Mapping[str, Any], grants: Mapping[str, GrantTerms]) -> Money:
    """Compute what a line costs once what was bought ahead is spread over its use.

    A purchase costs nothing by itself, as its hours do when they are used; what a gift pays costs nothing at all.
    """
    amount = Money(line["amount_micros"])
    if line["kind"] == "commitment":
        return Money.zero()
    if not line["taken_off"] or not line["grants"]:
        return amount
    paid = sum(each["quantity"] for each in line["grants"])
    free = sum(each["quantity"] for each in line["grants"] if _is_gift(grants.get(each["grant_id"])))
    return round_to_fen(Fraction(amount.to_decimal()) * Fraction(paid - free, paid))


def _is_gift(grant: GrantTerms | None) -> bool:
    return grant is not None and grant.is_free


def _begin(line: Mapping[str, Any], terms: ContractTerms, month: str) -> Row:
    """Begin a row with whose it is and what it is of: the same for every charge."""
    issuer = (line["issuer"] or {}).get("name") or PROVIDER
    return {
        "BillingAccountId": line["customer_id"],
        "BillingAccountName": line["customer"],
        "BillingAccountType": "Customer",
        "BillingCurrency": DEFAULT_CURRENCY,
        "BillingPeriodStart": write_moment(terms.month_start(month)),
        "BillingPeriodEnd": write_moment(terms.month_end(month)),
        "InvoiceId": line["number"],
        "InvoiceIssuerName": issuer,
        "PricingCurrency": DEFAULT_CURRENCY,
        # Were they others than the issuer, the format would take the charge for one that somebody else collects.
        **dict.fromkeys(("ProviderName", "PublisherName", "ServiceProviderName", "HostProviderName"), issuer),
        "ServiceCategory": "AI and Machine Learning",
        "ServiceSubcategory": "Machine Learning",
        "ServiceName": "LoRA fine-tuning",
        "SubAccountId": line.get("project_id"),
        "SubAccountName": line.get("project"),
        "SubAccountType": "Project" if line.get("project_id") else None,
        "Tags": json.dumps(line.get("labels") or {}, ensure_ascii=False, sort_keys=True),
    }


def _describe_period(line: Mapping[str, Any], terms: ContractTerms, month: str) -> Row:
    """Describe when a charge is for: a purchase at its moment, late usage in the month that it is of."""
    if line["kind"] == "commitment":
        return _describe_moment(line["booked_at"])
    own = line["used_month"] or month
    return {
        "ChargePeriodStart": write_moment(terms.month_start(own)),
        "ChargePeriodEnd": write_moment(terms.month_end(own)),
    }


def _describe_moment(booked_at: datetime) -> Row:
    start = booked_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return {"ChargePeriodStart": write_moment(start), "ChargePeriodEnd": write_moment(start + timedelta(hours=1))}


def _describe_resource(line: Mapping[str, Any]) -> Row:
    if line["kind"] == "commitment":
        return {"ResourceId": line["grant_id"], "ResourceType": "Grant"}
    if line["job_id"] is None:
        return {}
    return {"ResourceId": line["job_id"], "ResourceName": line["job"], "ResourceType": "Job"}


def _describe_price(line: Mapping[str, Any], terms: ContractTerms) -> Row:
    """Describe quantity, unit and prices of usage; its SKU is the meter on a type of device."""
    quantity, unit = format(as_units(line["quantity"], line["meter"]), "f"), UNITS[line["meter"]]
    contracted, listed = _write_price(line["unit_price"]), _write_price(line["list_price"])
    gpu_type = line["gpu_type"] if line["meter"] == "gpu_seconds" else None
    sku = "/".join(filter(None, (line["meter"], gpu_type)))
    plan = terms.of_month(line["used_month"] or line["month"]).plan.value
    return {
        "ConsumedQuantity": quantity,
        "ConsumedUnit": unit,
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "PricingCategory": "Committed" if line["taken_off"] else "Standard",
        "ContractedUnitPrice": contracted,
        "ListUnitPrice": listed,
        "PricingCurrencyContractedUnitPrice": contracted,
        "PricingCurrencyListUnitPrice": listed,
        "SkuId": sku,
        "SkuMeter": METERS[line["meter"]],
        "SkuPriceId": "/".join(filter(None, (sku, line["rate_card_version"], plan))),
        "SkuPriceDetails": json.dumps({"x_Plan": plan, "x_GpuType": gpu_type}, sort_keys=True),
    }


def _describe_commitment(line: Mapping[str, Any], terms: ContractTerms, grants: Mapping[str, GrantTerms]) -> Row:
    """Describe the grants that a charge used or bought: 1.2 names one, 1.3 all of them."""
    is_purchase = line["kind"] == "commitment"
    used = [{"grant_id": line["grant_id"], "quantity": line["quantity"]}] if is_purchase else line["grants"]
    if not used:
        return {}
    first = grants.get(used[0]["grant_id"])
    meter = line["meter"] or "gpu_seconds"
    elements = [_apply(each, terms, meter) for each in used]
    return {
        "CommitmentDiscountId": used[0]["grant_id"],
        "CommitmentDiscountCategory": "Usage",
        "CommitmentDiscountName": None if first is None else f"{first.kind.value} block",
        "CommitmentDiscountType": None if first is None else first.kind.value,
        "CommitmentDiscountQuantity": format(as_units(used[0]["quantity"], meter), "f"),
        "CommitmentDiscountUnit": UNITS[meter],
        "CommitmentDiscountStatus": None if is_purchase else "Used",
        "ContractApplied": json.dumps({"Elements": elements}, sort_keys=True),
    }


def _describe_unused(line: Mapping[str, Any], terms: ContractTerms) -> Row:
    """Describe committed hours that nobody used: what the contract committed to is used, or unused, in the format."""
    years = [year for years in (line["basis"] or {}).get("commitments", []) for year in years]
    unused = max(0, sum(year["committed"] - year["used"] for year in years))
    quantity = format(as_units(unused, "gpu_seconds"), "f")
    element = {"ContractId": terms.id, "ContractCommitmentId": terms.id}
    applied = element | {"ContractCommitmentAppliedCost": float(Money(line["amount_micros"]).to_decimal())}
    return {
        "ResourceId": terms.id,
        "ResourceType": "Contract",
        "CommitmentDiscountId": terms.id,
        "CommitmentDiscountCategory": "Usage",
        "CommitmentDiscountName": "committed GPU-hours",
        "CommitmentDiscountType": "committed hours",
        "CommitmentDiscountQuantity": quantity,
        "CommitmentDiscountUnit": UNITS["gpu_seconds"],
        "CommitmentDiscountStatus": "Unused",
        "ContractApplied": json.dumps({"Elements": [applied]}, sort_keys=True),
        "PricingCategory": "Committed",
        "PricingQuantity": quantity,
        "PricingUnit": UNITS["gpu_seconds"],
        "SkuId": "gpu_seconds",
        "SkuMeter": METERS["gpu_seconds"],
        "SkuPriceId": f"gpu_seconds/{terms.plan.value}/unused",
        "SkuPriceDetails": json.dumps({"x_Plan": terms.plan.value}),
    }


def _apply(used: Mapping[str, Any], terms: ContractTerms, meter: str) -> dict[str, Any]:
    return {
        "ContractId": terms.id,
        "ContractCommitmentId": used["grant_id"],
        "ContractCommitmentAppliedQuantity": float(as_units(used["quantity"], meter)),
        "ContractCommitmentAppliedUnit": UNITS[meter],
    }


def _make_note(note: Mapping[str, Any], terms: ContractTerms, month: str) -> Row:
    """Make the row of a credit note: it takes back what an invoice of any month has asked for."""
    amount = _write(-Money(note["total_micros"]))
    costs = dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), amount)
    return {
        **_begin(note, terms, month),
        **costs,
        "PricingCurrencyEffectiveCost": amount,
        "ChargeCategory": "Credit",
        "ChargeClass": "Correction",
        "ChargeFrequency": "One-Time",
        "ChargeDescription": f"Credit note {note['number']} of {note['invoice']}: {note['reason']}",
        "ChargePeriodStart": write_moment(terms.month_start(month)),
        "ChargePeriodEnd": write_moment(terms.month_end(month)),
    }


def _make_cancelled(order: Mapping[str, Any], terms: ContractTerms, month: str) -> Iterator[Row]:
    """Make the rows of an order that is void: each takes back one of its invoice, of which only tax was a cost."""
    tax = Money(order["tax_on_top_micros"])
    begun = {
        **_begin(order, terms, month),
        "ChargeClass": "Correction",
        "ChargeDescription": f"Order cancelled, or not paid in time: {order['number']}",
        "ResourceId": order["grant_id"],
        "ResourceType": "Grant",
        **_describe_moment(order["booked_at"]),
    }
    yield {
        **begun,
        **_write_costs(tax - Money(order["total_micros"]), Money.zero()),
        "ChargeCategory": "Purchase",
        "ChargeFrequency": "One-Time",
    }
    if tax.micros:
        yield {**begun, **_write_costs(-tax, -tax), "ChargeCategory": "Tax", "ChargeFrequency": "Usage-Based"}


def _write_costs(amount: Money, effective: Money) -> Row:
    return {
        **dict.fromkeys(("BilledCost", "ContractedCost", "ListCost"), _write(amount)),
        **dict.fromkeys(("EffectiveCost", "PricingCurrencyEffectiveCost"), _write(effective)),
    }


def write_moment(moment: datetime) -> str:
    """Write a moment in UTC to the second, as the format wants it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(money: Money) -> str:
    return money.format_amount()


def _write_price(price: Decimal | None) -> str | None:
    return None if price is None else format(price.normalize(), "f")
