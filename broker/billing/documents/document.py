"""What a document of an invoice says, gathered once: facts, lines by project and job, sums. Pure.

Only what can never change is in it: neither what was paid nor what was credited since. That it is void is for good,
and nothing is to be paid for it then.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import cn2an

from broker.billing.documents.words import Language, list_words, name_cause, name_line
from broker.billing.lines.corrections import find_credited
from broker.billing.model import InvoiceStatus, LineKind
from broker.billing.parties import Issuer
from broker.billing.reference import make_reference
from broker.billing.tables import Invoice, InvoiceLine
from broker.clock import local_day
from pricing.money import Money
from pricing.usage import Unit

HOURS_STEP, CENTS = Decimal("0.0001"), Decimal("0.01")


@dataclass(frozen=True)
class Period:
    """The time that an invoice is for, and the zone in which its days are told. Without a month: hours in advance."""

    time_zone: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    @property
    def first_day(self) -> date | None:
        return None if self.starts_at is None else local_day(self.starts_at, self.time_zone)

    @property
    def last_day(self) -> date | None:
        return None if self.ends_at is None else local_day(self.ends_at - timedelta(microseconds=1), self.time_zone)


@dataclass(frozen=True)
class DocumentLine:
    """A line as people read it: numbers as text, in the language of the document. `note`: what it is of."""

    position: int
    kind: LineKind
    item: str
    note: str
    job_id: str | None
    quantity: str
    unit: str
    list_price: str
    price: str
    amount: Money


@dataclass(frozen=True)
class ProjectLines:
    """The lines of one project, or of none, with their sum."""

    name: str
    lines: Sequence[DocumentLine]

    @property
    def amount(self) -> Money:
        return sum((line.amount for line in self.lines), Money.zero())


@dataclass(frozen=True)
class Document:
    """An invoice as a document says it."""

    language: Language
    number: str
    issuer: Issuer
    buyer: str
    facts: Sequence[tuple[str, str]]
    projects: Sequence[ProjectLines]
    list_total: Money | None
    net: Money
    tax: Money
    tax_name: str
    total: Money
    in_words: str
    due_on: str
    reference: str
    issued_at: datetime
    is_void: bool = False

    @property
    def words(self) -> dict[str, str]:
        return list_words(self.language)


@dataclass(frozen=True)
class Source:
    """What a document is made of: the invoice with its lines, whose it is, and the names of projects."""

    invoice: Invoice
    lines: Sequence[InvoiceLine]
    issuer: Issuer
    buyer: str
    period: Period
    projects: Mapping[str, str]


def make_document(source: Source, language: Language) -> Document:
    """Make what the document of a final invoice says in a language."""
    invoice, words = source.invoice, list_words(language)
    assert invoice.number is not None, "it is final"
    assert invoice.finalized_at is not None, "it is final"
    listed = [line.list_amount_micros for line in source.lines if line.list_amount_micros is not None]
    rate = "" if invoice.tax_rate is None else f" {format((invoice.tax_rate * 100).normalize(), 'f')} %"
    return Document(
        language=language,
        number=invoice.number,
        issuer=source.issuer,
        buyer=source.buyer,
        facts=_list_facts(source, words),
        projects=group_lines(source, language),
        list_total=Money(sum(listed)) if listed else None,
        net=invoice.net,
        tax=invoice.tax,
        tax_name=f"{words['tax']}{rate}",
        total=invoice.total,
        in_words=write_capitals(invoice.total) if language == Language.ZH else "",
        due_on="" if invoice.due_on is None else invoice.due_on.isoformat(),
        reference=make_reference(invoice.number),
        issued_at=invoice.finalized_at,
        is_void=invoice.status == InvoiceStatus.VOID,
    )


def _list_facts(source: Source, words: Mapping[str, str]) -> list[tuple[str, str]]:
    invoice, period = source.invoice, source.period
    assert invoice.finalized_at is not None, "it is final"
    days = "" if period.first_day is None else f"{period.first_day} – {period.last_day} ({period.time_zone})"
    facts = {
        "number": invoice.number or "",
        "issued_on": local_day(invoice.finalized_at, period.time_zone).isoformat(),
        "period": days,
        "contract_number": invoice.contract_number,
        "purchase_order": invoice.purchase_order or "",
        "customer_id": invoice.customer_id,
        "currency": "CNY",
        "due_on": "" if invoice.due_on is None else invoice.due_on.isoformat(),
    }
    return [(words[name], value) for name, value in facts.items() if value]


def group_lines(source: Source, language: Language) -> list[ProjectLines]:
    """Group the lines by project, in the order of names; those of the whole contract come last, without its tax."""
    words, groups = list_words(language), dict[tuple[int, str], list[InvoiceLine]]()
    for line in source.lines:
        if line.kind != LineKind.TAX:
            groups.setdefault(_find_group(line, source.projects, words), []).append(line)
    return [
        ProjectLines(name, [_write_line(line, language) for line in sorted(members, key=_order)])
        for (_rank, name), members in sorted(groups.items())
    ]


def _find_group(line: InvoiceLine, projects: Mapping[str, str], words: Mapping[str, str]) -> tuple[int, str]:
    if line.job_id is None:
        return 2, words["whole_contract"]
    if line.project_id is None:
        return 1, words["no_project"]
    return 0, projects.get(line.project_id, line.project_id)


def _order(line: InvoiceLine) -> tuple[str, int]:
    return line.job_id or "", line.position


def _write_line(line: InvoiceLine, language: Language) -> DocumentLine:
    words, kind = list_words(language), LineKind(line.kind)
    meter = None if line.meter is None else Unit(line.meter)
    in_hours = meter == Unit.GPU_SECONDS
    unit = "" if meter is None else words["hours" if in_hours else "tokens"]
    return DocumentLine(
        position=line.position,
        kind=kind,
        item=name_line(kind, meter, language),
        note=" · ".join(_list_notes(line, kind, language)),
        job_id=line.job_id,
        quantity="" if line.quantity is None else write_quantity(line.quantity, in_hours=in_hours),
        unit=unit,
        list_price=_write_price(line.list_price),
        price=_write_price(line.unit_price),
        amount=Money(line.amount_micros),
    )


def _list_notes(line: InvoiceLine, kind: LineKind, language: Language) -> Iterable[str]:
    words, basis = list_words(language), line.basis or {}
    if line.job_id is not None:
        yield f"{words['job']} {line.job_id}"
    if kind == LineKind.CORRECTION and line.used_month is not None:
        yield f"{words['of_month']} {line.used_month}"
        credited = find_credited(basis)
        if credited is not None:
            yield f"{words['credited']} {credited}"
    if "cause" in basis:
        yield name_cause(basis["cause"], language)
    if "commitments" in basis:
        unused = sum(map(_count_unused, basis["commitments"]))
        yield f"{words['unused']} {write_quantity(unused, in_hours=True)} {words['hours']}"
    if "guarantee" in basis:
        held = basis["guarantee"]
        yield f"{held['gpus']} × {held['price']} × {Fraction(held['microseconds'], held['of_microseconds'])}"
    for grant in line.grants:
        yield f"{words['grant']} {grant['grant_id']}"
    if line.overage:
        yield f"{words['overage']} {write_quantity(line.overage, in_hours=True)}"


def _count_unused(years: Iterable[Mapping[str, int]]) -> int:
    """Count what one commitment is short of: what another was used beyond its own makes up for nothing of it."""
    return max(0, sum(year["committed"] - year["used"] for year in years))


def write_quantity(quantity: int, *, in_hours: bool) -> str:
    """Write a quantity for people: GPU-hours to four places, or whole tokens, with commas."""
    if not in_hours:
        return f"{quantity:,}"
    return f"{(Decimal(quantity) / 3600).quantize(HOURS_STEP):,}"


def _write_price(price: Decimal | None) -> str:
    """Write a price whole, with two places at least."""
    if price is None:
        return ""
    plain = price.normalize()
    return format(plain if int(plain.as_tuple().exponent) <= -2 else plain.quantize(CENTS), "f")


def write_capitals(amount: Money) -> str:
    """Write an amount in capitals (大写), as cheques and fapiao do."""
    return str(cn2an.an2cn(amount.format_amount(), "rmb"))
