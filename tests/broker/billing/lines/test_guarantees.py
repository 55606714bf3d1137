"""Lines of guaranteed GPUs: a month's invoice asks for all of it, what is upcoming for the part that is over. Pure."""

from broker.billing.lines.guarantees import draft_guarantees
from tests.broker.contracts.terms.test_guarantees import DECEMBER, SIGNED, SIXTEENTH


def test_upcoming_asks_for_the_time_that_is_over_and_the_invoice_for_the_whole_month() -> None:
    (whole,), (half,) = draft_guarantees(SIGNED, "2026-11"), draft_guarantees(SIGNED, "2026-11", SIXTEENTH)
    assert (whole.amount.format_amount(), half.amount.format_amount()) == ("3600.00", "1800.00")
    assert half.description.endswith("2026-11-01 00:00 to 2026-11-16 00:00")
    assert draft_guarantees(SIGNED, "2026-11", DECEMBER) == [whole]
    assert draft_guarantees(SIGNED, "2026-11", SIGNED.starts_at) == []


def test_a_line_tells_what_evidence_works_it_out_from() -> None:
    (half,) = draft_guarantees(SIGNED, "2026-11", SIXTEENTH)
    assert half.basis == {
        "guarantee": {
            "gpus": 4,
            "price": "900.00",
            "microseconds": 15 * 86_400_000_000,
            "of_microseconds": 30 * 86_400_000_000,
        }
    }
