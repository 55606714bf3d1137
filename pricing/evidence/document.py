"""What evidence tells: the invoice, its lines, the charges under them, the intervals under those, cards and grants.

Quantities are whole GPU-seconds or tokens; prices are decimals as text, yuan per GPU-hour or per token; amounts are
decimals as text, in yuan.
"""

import json
import re
from collections.abc import Hashable
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pricing.grants import GrantKind
from pricing.money import Money
from pricing.plans import PlanName
from pricing.rate_card import RateCard
from pricing.tax import Tax, TaxMode
from pricing.usage import Unit

FORMAT = 1
Where = tuple[str, str]


class EvidenceUnreadable(ValueError):
    """The file is no evidence of this format; `faults` say where and why."""

    def __init__(self, faults: list[Where]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{where}: {message}" for where, message in faults))


PLAIN = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)


def _read_exact(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, str) or PLAIN.fullmatch(value) is None:
        raise ValueError("must be a decimal in plain digits, written as text")
    return Decimal(value)


def _read_money(value: Any) -> Any:
    return None if value is None else Money.from_decimal(_read_exact(value))


Exact = Annotated[Decimal, BeforeValidator(_read_exact)]
Amount = Annotated[Money, BeforeValidator(_read_money)]
Meter = Annotated[Unit, Field(strict=False)]
Plan = Annotated[PlanName, Field(strict=False)]


class Record(BaseModel):
    """A record of the file: what it does not know is refused, and no number is read out of a text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


class Hashed(Record):
    hash: str


class InvoiceRecord(Hashed):
    """The invoice as it is; `plan` is that of its contract."""

    id: str
    number: str
    kind: Literal["usage", "advance"]
    month: str | None
    customer_id: str
    contract_id: str
    contract_number: str
    plan: Plan
    currency: str
    tax_mode: Annotated[TaxMode, Field(strict=False)]
    tax_rate: Annotated[Exact, Field(ge=0)] | None
    tax: Amount
    total: Amount
    finalized_at: str

    @property
    def tax_terms(self) -> Tax:
        return Tax(self.tax_mode, Decimal(0) if self.tax_rate is None else self.tax_rate)


class CardRecord(Hashed):
    card: dict[str, Any]

    def read(self) -> RateCard:
        """Read the card. Raises: RateCardInvalid."""
        return RateCard.from_json_dict(self.card)


class GrantRecord(Hashed):
    """A grant that paid for some of the usage."""

    id: str
    kind: str
    meter: Meter
    unit_price: Exact
    advance: bool

    @property
    def is_paid_for(self) -> bool:
        """Tell whether its usage is on no bill: its advance was paid, or it is a gift; a compensation may be either."""
        return self.kind == GrantKind.PROMOTIONAL or (self.kind == GrantKind.BOUGHT and self.advance)


class ReturnRecord(Record):
    """So many units of a closed month's line that came back at once; `before`: those that had come back by then.

    `credited` is what of the line was credited or written off by then, where anything was.
    """

    before: int = Field(ge=0)
    quantity: int = Field(gt=0)
    amount: Amount
    credited: Amount | None = None


class YearRecord(Record):
    committed: int
    used: int
    unit_price: Exact


class GuaranteeRecord(Record):
    """So many GPUs guaranteed at a price each for a whole month, for so much of it."""

    gpus: int = Field(gt=0)
    price: Amount
    microseconds: int = Field(ge=0)
    of_microseconds: int = Field(gt=0)


Years = Annotated[tuple[YearRecord, ...], Field(strict=False)]


class BasisRecord(Record):
    """What a line rests on beside its month's usage: a closed month's line, a commitment, a guarantee, a cause."""

    cause: str | None = None
    guarantee: GuaranteeRecord | None = None
    line_quantity: int | None = None
    line_amount: Amount | None = None
    returns: tuple[ReturnRecord, ...] | None = Field(default=None, strict=False)
    closed_month: str | None = None
    settled_quantity: int | None = None
    commitments: tuple[Years, ...] | None = Field(default=None, strict=False)
    asked_before: Amount | None = None
    given_up: Amount | None = None


class LineRecord(Hashed):
    """A line of the invoice. `leads`: it was its segment's first, with a promise; `billable`: not taken off again."""

    position: int
    kind: str
    description: str
    job_id: str | None
    project_id: str | None
    meter: Meter | None
    quantity: int | None
    unit_price: Exact | None
    rate_card_version: str | None
    used_month: str | None
    billable: bool
    leads: bool
    amount: Amount
    basis: BasisRecord | None

    @property
    def is_used(self) -> bool:
        """Tell whether it bills usage, not what is taken back of a closed month."""
        return self.kind in {"usage", "correction"} and (self.quantity or 0) > 0


class ChargeRecord(Hashed):
    """Usage of the intervals of a run from one number to another, as it was charged, or borne for a `cause`.

    One that takes back, or bears instead, names the charge that it `corrects`, and the month of that one's invoice.
    `added_by`: what the event of this id says more than its intervals said at first.
    """

    id: int
    job_id: str
    run_id: str
    first: int
    last: int
    meter: Meter
    quantity: int
    unit_price: Exact
    billable: bool
    cause: str | None
    rate_card_version: str
    plan: Plan | None
    grant_id: str | None
    used_month: str
    corrects: int | None
    corrects_month: str | None
    added_by: str | None

    @property
    def line_key(self) -> Hashable:
        return self.job_id, self.used_month, self.meter, self.unit_price, self.billable


class IntervalRecord(Hashed):
    """One metered interval as it was reported; `corrects`: the event that it amends by this difference."""

    sequence: int
    source: str
    event_id: str
    corrects: str | None
    started_at: str
    ended_at: str
    gpu_seconds: int
    tokens: int
    labels: dict[str, str]

    def count(self, meter: Unit) -> int:
        return self.gpu_seconds if meter == Unit.GPU_SECONDS else self.tokens


class RunRecord(Hashed):
    """A run of a job, or a stream of usage from outside, with its intervals in order."""

    run_id: str
    job_id: str
    gpu_type: str | None
    intervals: tuple[IntervalRecord, ...] = Field(strict=False)


class ChainRecord(Record):
    algorithm: str
    intervals: int
    head: str


class Evidence(Record):
    """The whole file."""

    object: Literal["invoice_evidence"]
    format: Literal[1]
    invoice: InvoiceRecord
    rate_cards: tuple[CardRecord, ...] = Field(strict=False)
    grants: tuple[GrantRecord, ...] = Field(strict=False)
    lines: tuple[LineRecord, ...] = Field(strict=False)
    charges: tuple[ChargeRecord, ...] = Field(strict=False)
    runs: tuple[RunRecord, ...] = Field(strict=False)
    chain: ChainRecord
    seal: str


def parse_json(content: bytes) -> dict[str, Any]:
    """Parse the file: one object, no key twice, no number with a fraction, texts that can be written again.

    Raises: EvidenceUnreadable.
    """
    try:
        raw = json.loads(
            content.decode("utf-8-sig"), object_pairs_hook=_refuse_twice, parse_float=_refuse, parse_constant=_refuse
        )
        json.dumps(raw, ensure_ascii=False).encode()  # half a character of two is no text
    except (ValueError, RecursionError) as error:
        raise EvidenceUnreadable([("file", f"is no JSON as evidence has it: {error}")]) from error
    if not isinstance(raw, dict):
        raise EvidenceUnreadable([("file", "is no JSON object")])
    return raw


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _value in pairs]
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is written twice")
    return dict(pairs)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no whole number; prices and amounts are texts")


def read_evidence(raw: dict[str, Any]) -> Evidence:
    """Read the parsed file. Raises: EvidenceUnreadable, naming each field at fault."""
    try:
        return Evidence.model_validate(raw)
    except ValidationError as error:
        faults = [(_write_place(detail["loc"]), detail["msg"]) for detail in error.errors()]
        raise EvidenceUnreadable(faults) from error


def _write_place(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")
