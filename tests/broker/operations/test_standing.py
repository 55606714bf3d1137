"""What contracts are due, hold, borrow and lend; pure."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.operations.fair_division import Claim, divide_fairly, spread
from broker.operations.peers import Head, explain_against_peer
from broker.operations.standing import Standing, compute_standings, list_pairs
from broker.scheduling.planning.rules.order import EXPEDITED, GUARANTEED, ORDINARY, OVERDUE
from tests.properties import examples

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def claim(contract_id: str, held: int, waiting: int, **more: int) -> Claim:
    return Claim(contract_id, held=held, waiting=waiting, **more)


@pytest.mark.parametrize(
    ("capacity", "claims", "due"),
    [
        (8, [claim("a", 8, 0), claim("b", 0, 8)], {"a": 4, "b": 4}),
        (9, [claim("a", 0, 20, weight=200), claim("b", 0, 20)], {"a": 6, "b": 3}),
        (8, [claim("a", 0, 1), claim("b", 0, 9), claim("c", 9, 0)], {"a": 1, "b": Fraction(7, 2), "c": Fraction(7, 2)}),
        (8, [claim("a", 0, 8, guaranteed=6), claim("b", 8, 8)], {"a": 7, "b": 1}),
        (8, [claim("a", 0, 2, guaranteed=6), claim("b", 8, 0)], {"a": 2, "b": 6}),
        (4, [claim("a", 0, 6, guaranteed=6), claim("b", 0, 2, guaranteed=2)], {"a": 3, "b": 1}),
        (0, [claim("a", 0, 6)], {"a": 0}),
    ],
)
def test_what_each_is_due(capacity: int, claims: list[Claim], due: dict[str, Fraction]) -> None:
    assert divide_fairly(capacity, claims) == due


CLAIMS = st.lists(
    st.tuples(*(st.integers(0, 12),) * 4, st.integers(1, 400)).map(
        lambda told: Claim("", told[0], told[1], min(told[0], told[1], told[2]), told[3], told[4])
    ),
    min_size=1,
    max_size=6,
).map(lambda found: [Claim(**{**vars(each), "contract_id": f"con_{at}"}) for at, each in enumerate(found)])


@examples(60)
@given(st.integers(0, 40), CLAIMS)
def test_all_is_divided_that_is_wanted_and_what_is_borrowed_is_lent(capacity: int, claims: list[Claim]) -> None:
    due = divide_fairly(capacity, claims)
    assert sum(due.values()) == min(capacity, sum(each.wanted for each in claims))
    for each in claims:
        assert 0 <= due[each.contract_id] <= each.wanted
    standings = compute_standings("a100", capacity, claims)
    assert sum(each.borrowed for each in standings) == sum(each.lent for each in standings)
    for standing in standings:
        assert standing.borrowed <= standing.claim.held - standing.claim.held_within
        assert standing.lent + standing.idle + standing.claim.held_within >= standing.claim.guaranteed


def test_what_is_spread_fits_its_rooms_and_ties_fall_by_name() -> None:
    assert spread(3, {"a": 1, "b": 1, "c": 4}) == {"a": 1, "b": 0, "c": 2}
    assert spread(9, {"a": 1, "b": 2}) == {"a": 1, "b": 2}
    assert spread(5, {}) == {}


def find(standings: list[Standing], contract_id: str) -> Standing:
    return next(each for each in standings if each.contract_id == contract_id)


def test_idle_guarantee_is_lent_to_who_holds_more_than_is_free_for_all() -> None:
    owner, other = claim("owner", 2, 0, guaranteed=6, held_within=2), claim("other", 5, 3)
    standings = compute_standings("a100", 8, [owner, other])
    lender, borrower = find(standings, "owner"), find(standings, "other")
    assert (lender.lent, lender.idle, lender.borrowed) == (3, 1, 0)
    assert (borrower.borrowed, borrower.lent, int(borrower.lacks)) == (3, 0, 1)


def test_who_starves_is_told_beside_who_holds_more_than_its_due_of_the_same_type() -> None:
    here = compute_standings("a100", 8, [claim("a", 8, 4), claim("b", 0, 4)])
    there = compute_standings("h100", 8, [claim("c", 0, 8)])
    (pair,) = list_pairs([*here, *there], most=9)
    assert (pair.starved.contract_id, pair.borrowing.contract_id, int(pair.gpus)) == ("b", "a", 4)
    assert list_pairs(here, most=0) == []


def head(contract_id: str, **told: int) -> Head:
    known = {"tier": ORDINARY, "priority": 100, "usage": 10**9, "held": 2, "weight": 100, **told}
    age = timedelta(minutes=known.pop("age", 0))
    return Head(contract_id, submitted_at=NOON - age, **known)


@pytest.mark.parametrize(
    ("beta", "words"),
    [
        (head("beta", usage=1), "which has used less this week"),
        (head("beta", held=1), "which holds fewer GPUs"),
        (head("beta", weight=200), "which is due a larger share"),
        (head("beta", age=5), "which submitted earlier"),
        (head("beta", priority=200), "in a queue of higher priority"),
        (head("beta", tier=OVERDUE), "which has waited as long as its queue allows"),
        (head("beta", tier=GUARANTEED), "whose guarantee is not used up"),
        (head("beta", tier=EXPEDITED, priority=0), "which lost its machine"),
    ],
)
def test_sentence_says_what_puts_the_peer_ahead(beta: Head, words: str) -> None:
    def name(contract_id: str) -> tuple[str, str]:
        return contract_id, f"「{contract_id}」"

    acme = head("acme")
    told, told_zh = explain_against_peer(acme, [acme, beta, head("gamma", usage=10**10)], name)
    assert told == f"acme waits because beta, {words}, is ahead."
    assert told_zh.startswith("「acme」在等待，因为「beta」排在前面：")
    assert explain_against_peer(beta, [acme, beta], name)[0] == "beta is next: it waits for GPUs to become free."
