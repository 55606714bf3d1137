"""An invoice proven from its evidence: what holds, and what is named where one digit is another."""

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from pricing.evidence.verify import verify_evidence
from pricing.rate_card import load_rate_cards
from tests.pricing.evidence.documents import (
    CARD,
    DOCUMENT,
    NO_USE,
    charge,
    interval,
    line,
    resealed,
    sealed,
    verify,
    write,
)


def test_evidence_proves_the_total() -> None:
    verdict = verify(sealed())
    assert verdict.faults == ()
    assert (verdict.number, str(verdict.total)) == ("INV-2026-000001", "10.17 CNY")
    assert (verdict.lines, verdict.charges, verdict.intervals) == (6, 6, 3)


def test_a_changed_digit_anywhere_is_named() -> None:
    """Each digit of the file, one after the other, is another one: none passes, and every one is placed."""
    content = json.dumps(sealed(), ensure_ascii=False)
    cards, kept = load_rate_cards(), []
    for found in re.finditer(r"[0-9]", content):
        other = str((int(found[0]) + 1) % 10)
        changed = f"{content[: found.start()]}{other}{content[found.end() :]}"
        if verify_evidence(changed.encode(), known_cards=cards).holds:
            kept.append(content[found.start() - 30 : found.end() + 5])
    assert kept == []


def find_places(change: Callable[[dict[str, Any]], object]) -> set[str]:
    """Find which records are named where a sealed file is changed."""
    document = sealed()
    change(document)
    return {where for where, _message in verify(document).faults}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda d: d["runs"][0]["intervals"][1].update(tokens=1), "runs[0].intervals[1]"),
        (lambda d: d["runs"][0]["intervals"][1]["labels"].update(team="ads"), "runs[0].intervals[1]"),
        (lambda d: d["runs"][0]["intervals"].pop(1), "runs[0].intervals[1]"),
        (lambda d: d["runs"][0]["intervals"].reverse(), "runs[0].intervals[0]"),
        (lambda d: d["runs"][0].update(gpu_type="h200"), "runs[0]"),
        (lambda d: d["lines"][2].update(description="other"), "lines[2]"),
        (lambda d: d["lines"].pop(4), "seal"),
        (lambda d: d["charges"][0].update(added_by="x"), "charges[0]"),
        (lambda d: d["grants"][0].update(kind="bought"), "grants[0]"),
        (lambda d: d["rate_cards"][0]["card"].update(currency="USD"), "rate_cards[0]"),
        (lambda d: d["invoice"].update(contract_number="HT-2"), "invoice"),
        (lambda d: d["chain"].update(intervals=4), "chain.intervals"),
        (lambda d: d["chain"].update(algorithm="md5"), "chain.algorithm"),
        (lambda d: d.update(seal="0" * 64), "seal"),
        (lambda d: d.update(more=1), "more"),
        (lambda d: d["lines"][0].update(quantity="3600"), "lines[0].quantity"),
        (lambda d: d["lines"][0].pop("amount"), "lines[0].amount"),
        (lambda d: d["lines"][0].update(amount="NaN"), "lines[0].amount"),
        (lambda d: d["invoice"].update(tax_rate="-1"), "invoice.tax_rate"),
    ],
)
def test_what_was_changed_is_named(change: Callable[[dict[str, Any]], object], place: str) -> None:
    assert place in find_places(change)


def change_line(index: int, **fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["lines"][index].update(fields)


def change_charge(index: int, **fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["charges"][index].update(fields)


# Whoever makes all hashes anew is found by arithmetic: the amounts must still come out of the intervals and the card.
FORGED: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (change_line(2, amount="6.81"), "lines[2]: comes to 6.80, not to 6.81"),
    (change_line(3, quantity=23251), "lines[3]: bills 23251; its charges come to 23250"),
    (change_line(1, amount="-5.19"), "lines[1]: comes to -5.20, not to -5.19"),
    (change_line(4, quantity=1100), "lines[4]: 1100 are told to be borne; the charges come to 1200"),
    (change_line(4, basis={"cause": "preempted"}), "lines[4]: 1200 are told to be borne; the charges come to 0"),
    (change_line(4, amount="1.00"), "lines[4]: comes to 0.00, not to 1.00"),
    (change_line(5, amount="0.57"), "lines[5]: comes to 0.58, not to 0.57"),
    (change_line(2, kind="mystery"), "lines[2]: is of a kind that evidence does not know: mystery"),
    (change_line(5, position=7), "lines: are not numbered from 1 on, each once"),
    (
        change_charge(1, unit_price="6.9"),
        "charges[1]: 6.9 is not the price by card 2026-01-01: that is 6.8",
    ),
    (change_charge(0, unit_price="5.3"), "charges[0]: 5.3 is not the price of grant gra_1"),
    (
        change_charge(3, quantity=1300),
        "intervals 2 to 2: come to 1200 gpu_seconds; 1300 are charged or borne",
    ),
    (change_charge(2, run_id="run_2"), "charges[2]: run run_2 of job_1 is not in the file"),
    (lambda d: d["runs"][0]["intervals"][0].update(gpu_seconds=4001), "intervals 0 to 1: come to 7201 gpu_seconds"),
    (lambda d: d["runs"][0]["intervals"].pop(0), "intervals 0 to 1: are charged, but are not all in the file"),
    (lambda d: d["runs"][0]["intervals"].append(interval(2, 1200)), "intervals 2 to 2: are charged, but are not all"),
    (lambda d: d["invoice"].update(total="10.18"), "invoice.total: comes to 10.17, not to 10.18"),
    (lambda d: d["invoice"].update(tax="0.60"), "invoice.tax: comes to 0.58, not to 0.60"),
    (lambda d: d["invoice"].update(tax_mode="none", tax_rate=None), "lines: tax is none, but there are 1 lines of it"),
    (lambda d: d["invoice"].update(currency="USD"), "invoice.currency: is not CNY"),
    (
        lambda d: d["rate_cards"][0]["card"]["plans"]["on_demand"].update(per_gpu_hour="6.9"),
        "rate_cards[0]: is not the rate card 2026-01-01 that was published",
    ),
    (lambda d: d["rate_cards"].clear(), "charges[1]: rate card 2026-01-01 is not in the file"),
    (lambda d: d["grants"].clear(), "charges[0]: 5.2 is not the price of grant gra_1"),
    (
        lambda d: d["charges"].append(charge(9, 2, 2, 60, added_by="cor_1")),
        "cor_1: come to 0 gpu_seconds; 60",
    ),
    (lambda d: d["lines"].pop(2), "lines: none bills 3600 units"),
    (lambda d: d["charges"].append(charge(9, 1, 1, 3200)), "intervals 1 to 1: are charged, but some of them"),
    (change_charge(1, last=10**15), "intervals 0 to 1000000000000000: are charged, but are not all"),
    (
        lambda d: d["charges"].append(charge(9, 0, 1, 3600, corrects=2, corrects_month="2026-11")),
        "charges[6]: charges more, as a correction of charge 2",
    ),
    (change_charge(0, billable=True), "charges[0]: is billed, but grant gra_1 was paid in advance, or is a gift"),
    (change_charge(4, corrects=99), "charges[4]: corrects charge 99, which is not in the file"),
    (change_charge(4, corrects=2), "charges[4]: corrects charge 2, which is not in the file, or is of other usage"),
    (change_charge(4, quantity=-1201), "charges[4]: takes back more than charge 4 has charged"),
    (lambda d: d["runs"].append({**d["runs"][0], "intervals": []}), "runs: run_1 is told twice"),
    (change_charge(2, id=2), "charges: 2 is told twice"),
    (lambda d: d["lines"].pop(1), "lines[0]: was paid by a grant, but no line after it"),
    (lambda d: d["lines"].insert(2, line(3, "5.20", 3600, kind="advance")), "lines[2]: takes off nothing"),
    (lambda d: d["invoice"].update(kind="advance"), "lines[0]: is of usage, which no invoice of kind advance bills"),
    (change_line(2, kind="commitment"), "lines[2]: is of commitment, which no invoice of kind usage bills"),
    (lambda d: d["lines"].append(line(7, "0.58", kind="tax", **NO_USE)), "lines: tax is on_top, but there are 2 lines"),
]


@pytest.mark.parametrize(("change", "told"), FORGED, ids=[told for _change, told in FORGED])
def test_what_is_forged_and_sealed_anew_is_found_by_arithmetic(
    change: Callable[[dict[str, Any]], object], told: str
) -> None:
    faults = [f"{where}: {message}" for where, message in resealed(change).faults]
    assert [fault for fault in faults if told in fault], faults


def test_who_forges_everything_has_another_seal_than_the_invoice() -> None:
    genuine = sealed()["seal"]

    def sell_more(document: dict[str, Any]) -> None:
        document["runs"][0]["intervals"][0]["gpu_seconds"] += 3600
        document["charges"][1]["quantity"] += 3600
        document["lines"][2] |= {"quantity": 7200, "amount": "13.60"}
        document["lines"][5]["amount"] = document["invoice"]["tax"] = "0.98"
        document["invoice"]["total"] = "17.37"

    forged = copy.deepcopy(DOCUMENT)
    sell_more(forged)
    assert resealed(sell_more).holds
    document = sealed()
    assert verify(document, seal=genuine.upper()).holds
    sell_more(document)
    assert not verify(document, seal=genuine).holds
    assert resealed(sell_more).seal != genuine


def test_a_card_that_only_the_file_knows_is_taken_from_it() -> None:
    def rename(document: dict[str, Any]) -> None:
        document["rate_cards"][0]["card"]["version"] = "own"
        for record in (*document["charges"], *document["lines"]):
            if record["rate_card_version"] is not None:
                record["rate_card_version"] = "own"

    assert resealed(rename).holds


def extend(*more: dict[str, Any], **invoice: str) -> Callable[[dict[str, Any]], object]:
    """Add lines before that of tax, number them anew, and let the invoice say other sums."""

    def change(document: dict[str, Any]) -> None:
        *others, tax = document["lines"]
        document["lines"] = [*others, *more, tax | {"amount": invoice["tax"]}]
        for position, each in enumerate(document["lines"], start=1):
            each["position"] = position
        document["invoice"].update(invoice)

    return change


RETURNED = {"line_quantity": 7, "line_amount": "0.02", "closed_month": "2026-10"}


def test_what_is_taken_back_of_a_closed_month_is_a_share_of_that_months_line() -> None:
    back = charge(9, 0, 0, -3, used_month="2026-10", corrects=1, corrects_month="2026-10")
    basis = RETURNED | {"returns": [{"before": 2, "quantity": 3, "amount": "0.00"}]}

    def take_back(amount: str, given: dict[str, Any] = basis, **sums: str) -> Callable[[dict[str, Any]], object]:
        taken = line(0, amount, -3, kind="correction", used_month="2026-10", basis=given)

        def change(document: dict[str, Any]) -> None:
            document["charges"].append(back)
            extend(taken, **sums)(document)

        return change

    # Of 0.02 for 7 units 2 had brought back 0.01; 5 bring back 0.01 as well: the three cost nothing.
    assert resealed(take_back("0.00", tax="0.58", total="10.17")).faults == ()
    wrong = resealed(take_back("-0.01", tax="0.57", total="10.15")).faults
    assert ("lines[5]", "comes to 0.00, not to -0.01") in wrong
    few = basis | {"returns": [{"before": 2, "quantity": 2, "amount": "0.00"}]}
    told = resealed(take_back("0.00", few, tax="0.58", total="10.17")).faults
    assert told == (("lines[5]", "takes back 3; its charges come to 3, its returns to 2"),)
    none = resealed(take_back("0.00", {}, tax="0.58", total="10.17")).faults
    assert none == (("lines[5]", "does not tell the line that it takes back of"),)


def test_a_true_up_is_owed_of_its_commitments_less_what_was_asked_before() -> None:
    years = [{"committed": 7200, "used": 3600, "unit_price": "4"}, {"committed": 7200, "used": 9000, "unit_price": "4"}]
    basis = {"commitments": [years], "asked_before": "1.00", "given_up": "0.00"}
    unused = line(0, "1.00", kind="true_up", basis=basis, **NO_USE)  # 1,800 seconds at 4.00, less 1.00
    assert resealed(extend(unused, tax="0.64", total="11.23")).faults == ()
    wrong = resealed(extend(unused | {"amount": "3.00"}, tax="0.76", total="13.35")).faults
    assert wrong == (("lines[5]", "comes to 1.00, not to 3.00"),)
    given_up = {"basis": basis | {"given_up": "1.50"}, "amount": "1.00"}
    assert resealed(extend(unused | given_up, tax="0.64", total="11.23")).holds


def test_guaranteed_gpus_cost_the_part_of_the_month_that_they_were_held() -> None:
    told = {"gpus": 2, "price": "300.00", "microseconds": 10 * 86_400_000_000, "of_microseconds": 30 * 86_400_000_000}
    held = line(0, "200.00", kind="guarantee", basis={"guarantee": told}, **NO_USE)
    assert resealed(extend(held, tax="12.58", total="222.17")).faults == ()
    more = {"guarantee": told | {"gpus": 3}}
    wrong = resealed(extend(held | {"basis": more}, tax="12.58", total="222.17")).faults
    assert wrong == (("lines[5]", "comes to 300.00, not to 200.00"),)
    none = resealed(extend(held | {"basis": None}, tax="12.58", total="222.17")).faults
    assert none == (("lines[5]", "does not tell what was guaranteed"),)


def test_where_the_house_bears_everything_there_is_no_line_of_tax() -> None:
    def bear_all(document: dict[str, Any]) -> None:
        document["lines"] = [line(1, "0.00", 1200, kind="borne", unit_price=None, basis={"cause": "machine_lost"})]
        document["charges"], document["grants"] = document["charges"][3:], []
        document["invoice"] |= {"tax": "0.00", "total": "0.00"}

    assert resealed(bear_all).faults == ()


def test_hours_in_advance_are_proven_by_the_card_alone() -> None:
    def advance(document: dict[str, Any]) -> None:
        document["charges"], document["runs"], document["grants"] = [], [], []
        document["lines"] = [line(1, "2600.00", 500 * 3600, kind="commitment", unit_price="5.2")]
        own = {"tax_mode": "included", "tax": "147.17", "total": "2600.00", "kind": "advance", "month": None}
        document["invoice"].update(own)

    assert resealed(advance).faults == ()
    assert CARD.version in write(DOCUMENT).decode()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is no JSON"),
        (b"[]", "is no JSON object"),
        (b'{"format": 1, "format": 1}', "'format' is written twice"),
        (b'{"format": 1.0}', "1.0 is no whole number"),
        (b'{"format": NaN}', "NaN is no whole number"),
        (b"\xff", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"format": "\\ud800"}', "is no JSON"),
    ],
)
def test_what_is_no_evidence_is_refused_with_a_word(content: bytes, told: str) -> None:
    verdict = verify_evidence(content, known_cards={})
    assert not verdict.holds
    assert told in verdict.faults[0][1]
