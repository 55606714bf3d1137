"""An invoice over several pages, as its rows have it: three projects, every kind of line, tax on top."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from broker.billing.documents.document import Period, Source
from broker.billing.parties import Issuer
from broker.billing.tables import Invoice, InvoiceLine
from pricing.money import Money

ISSUER = Issuer(
    name="杭州样例智算有限公司",
    tax_number="91110000600037341L",
    address="杭州市文三路 100 号",
    phone="0571-88880000",
    bank="招商银行杭州分行",
    bank_account="5719 0001",
)
BUYER = "苏州青茶文化有限公司"


def make_line(position: int, amount: str, **fields: Any) -> InvoiceLine:
    values = {
        "kind": "usage",
        "description": f"line {position}",
        "job_id": None,
        "project_id": None,
        "meter": None,
        "quantity": None,
        "unit_price": None,
        "rate_card_version": None,
        "used_month": "2026-11",
        "list_price": None,
        "list_amount_micros": None,
        "grants": [],
        "overage": 0,
        "basis": None,
    }
    return InvoiceLine(position=position, amount_micros=Money.from_decimal(amount).micros, **(values | fields))


def use(position: int, job: int, **fields: Any) -> InvoiceLine:
    """Thirty hours of a job at 4.00, one of them beyond all grants."""
    own = {
        "job_id": f"job_{job:02d}",
        "project_id": f"prj_{job % 2}",
        "meter": "gpu_seconds",
        "quantity": 108_000,
        "unit_price": Decimal(4),
        "list_price": Decimal("6.8"),
        "list_amount_micros": 204_000_000,
        "grants": [{"grant_id": "gra_1", "quantity": 104_400}],
        "overage": 3600,
    }
    return make_line(position, "120.00", **(own | fields))


def make_source(jobs: int = 40) -> Source:
    lines = [use(number, number) for number in range(1, jobs + 1)]
    years = [[{"committed": 7200, "used": used, "unit_price": "4"}] for used in (3600, 9000)]
    more: list[tuple[str, dict[str, Any]]] = [
        ("-120.00", {"kind": "advance", "job_id": "job_01", "project_id": "prj_1", "meter": "gpu_seconds"}),
        ("3.00", {"job_id": "str_1", "meter": "tokens", "quantity": 50_000, "unit_price": Decimal("0.00006")}),
        ("-1.00", {"kind": "correction", "job_id": "job_01", "meter": "tokens", "used_month": "2026-10"}),
        ("-20.00", {"kind": "tier_settlement", "meter": "gpu_seconds", "quantity": jobs * 108_000}),
        ("4.00", {"kind": "true_up", "basis": {"commitments": years}}),
        ("0.00", {"kind": "borne", "job_id": "job_02", "meter": "tokens", "basis": {"cause": "machine_lost"}}),
    ]
    lines += [make_line(jobs + number, amount, **fields) for number, (amount, fields) in enumerate(more, start=1)]
    net = sum((Money(line.amount_micros) for line in lines), Money.zero())
    tax = Money(net.micros * 6 // 100)
    lines.append(make_line(len(lines) + 1, tax.format_amount(), kind="tax"))
    invoice = Invoice(
        number="INV-2026-000017",
        customer_id="cus_1",
        contract_id="con_1",
        contract_number="HT-2026-017",
        purchase_order="=PO(7781)",
        kind="usage",
        month="2026-11",
        tax_mode="on_top",
        tax_rate=Decimal("0.06"),
        tax_micros=tax.micros,
        total_micros=(net + tax).micros,
        finalized_at=datetime(2026, 12, 1, 2, tzinfo=UTC),
        due_on=date(2026, 12, 31),
    )
    period = Period("Asia/Shanghai", datetime(2026, 10, 31, 16, tzinfo=UTC), datetime(2026, 11, 30, 16, tzinfo=UTC))
    return Source(invoice, lines, ISSUER, BUYER, period, {"prj_0": "品牌视觉", "prj_1": "brand-tone"})
