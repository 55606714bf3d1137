"""Verifying evidence: the invoice worked out anew, offline, from its intervals and the rate card alone. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pricing.evidence.charges import Prices, check_charges
from pricing.evidence.document import Evidence, EvidenceUnreadable, Where, parse_json, read_evidence
from pricing.evidence.lines import check_other_lines, check_total, check_used
from pricing.evidence.sealing import find_broken_hashes
from pricing.money import Money
from pricing.rate_card import RateCard, RateCardInvalid


@dataclass(frozen=True)
class Verdict:
    """What became of a verification: each fault with its place; without any, the total is proven."""

    faults: tuple[Where, ...]
    number: str | None = None
    total: Money | None = None
    seal: str | None = None
    lines: int = 0
    charges: int = 0
    intervals: int = 0

    @property
    def holds(self) -> bool:
        return not self.faults


def verify_evidence(content: bytes, *, known_cards: Mapping[str, RateCard], seal: str | None = None) -> Verdict:
    """Verify the bytes of a file: its hashes, its charges by its intervals, its lines by its charges, its total.

    A card of the file that is known by its version must be just that one. `seal`: the one on the invoice, where it is
    at hand.
    """
    try:
        raw = parse_json(content)
        evidence = read_evidence(raw)
    except EvidenceUnreadable as error:
        return Verdict(tuple(error.faults))
    faults = list(find_broken_hashes(raw))
    if seal is not None and seal.lower() != evidence.seal:
        faults.append(("seal", f"is {evidence.seal}, not the one of the invoice"))
    cards: dict[str, RateCard] = {}
    faults += _read_cards(evidence, known_cards, cards)
    faults += _find_faults(evidence, cards)
    return Verdict(
        faults=tuple(dict.fromkeys(faults)),
        number=evidence.invoice.number,
        total=evidence.invoice.total,
        seal=evidence.seal,
        lines=len(evidence.lines),
        charges=len(evidence.charges),
        intervals=sum(len(run.intervals) for run in evidence.runs),
    )


def _read_cards(evidence: Evidence, known: Mapping[str, RateCard], cards: dict[str, RateCard]) -> Iterator[Where]:
    """Read the file's cards into `cards`; one that is known is taken from there, and a difference is told."""
    for index, record in enumerate(evidence.rate_cards):
        where = f"rate_cards[{index}]"
        try:
            card = record.read()
        except RateCardInvalid as error:
            yield where, str(error)
            continue
        expected = known.get(card.version)
        if expected is not None and expected != card:
            yield where, f"is not the rate card {card.version} that was published"
        cards[card.version] = expected or card


def _find_faults(evidence: Evidence, cards: Mapping[str, RateCard]) -> Iterator[Where]:
    if evidence.invoice.currency != "CNY":
        yield "invoice.currency", "is not CNY"
    yield from _find_twice(evidence)
    prices = Prices(
        cards,
        {grant.id: grant for grant in evidence.grants},
        {run.run_id: run.gpu_type for run in evidence.runs},
    )
    yield from check_charges(evidence, prices)
    yield from check_used(evidence)
    yield from check_other_lines(evidence, cards)
    yield from check_total(evidence)


def _find_twice(evidence: Evidence) -> Iterator[Where]:
    """Find records that have the name of another one: what rests on that name could rest on either."""
    names: dict[str, list[str]] = {
        "rate_cards": [str(record.card.get("version")) for record in evidence.rate_cards],
        "grants": [grant.id for grant in evidence.grants],
        "charges": [str(charge.id) for charge in evidence.charges],
        "runs": [run.run_id for run in evidence.runs],
    }
    for section, known in names.items():
        yield from ((section, f"{name} is told twice") for name, count in Counter(known).items() if count > 1)
