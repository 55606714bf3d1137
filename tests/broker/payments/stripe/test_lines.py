"""The lines that Stripe gets: our own amounts, few enough, and never another sum."""

from hypothesis import given
from hypothesis import strategies as st

from broker.payments.stripe.lines import MOST_LINES, BilledLine, plan_lines

FEN = 10_000


def line(fen: int, *, kind: str = "usage", meter: str | None = "gpu_seconds", price: str = "6.8") -> BilledLine:
    return BilledLine(kind, f"GPU-hours {fen}", fen * FEN, meter, price, "2026-11", quantity=fen)


LINES = st.lists(
    st.builds(
        line,
        st.integers(-100, 10_000),
        kind=st.sampled_from(["usage", "tax", "true_up", "advance"]),
        meter=st.sampled_from(["gpu_seconds", "tokens", None]),
        price=st.integers(1, 400).map(str),
    ),
    max_size=600,
)


@given(lines=LINES, share=st.integers(0, 100))
def test_lines_add_up_to_what_is_due_and_are_few_enough(lines: list[BilledLine], share: int) -> None:
    due = sum(each.fen for each in lines) * share // 100
    sent = plan_lines(lines, due)
    assert sent.total_fen == due
    assert len(sent.lines) <= MOST_LINES


def test_each_line_is_sent_as_it_is() -> None:
    sent = plan_lines([line(18), line(154, meter="tokens")], 172)
    assert [each.to_params() for each in sent.lines] == [
        {"amount": 18, "description": "GPU-hours 18"},
        {"amount": 154, "description": "GPU-hours 154"},
    ]
    assert not sent.is_summary


def test_what_was_paid_before_is_a_line_of_its_own() -> None:
    sent = plan_lines([line(100)], 60)
    assert [(each.description, each.amount_fen) for each in sent.lines][1:] == [("Paid or credited before", -40)]


def test_250_lines_are_sent_and_251_are_summed_by_rate_segment() -> None:
    assert len(plan_lines([line(1)] * 250, 250).lines) == 250
    summed = plan_lines([line(1)] * 200 + [line(2, price="5.2")] * 51, 302)
    assert [(each.description, each.amount_fen) for each in summed.lines] == [
        ("Usage gpu_seconds 200 at 6.8 of 2026-11 (200 lines)", 200),
        ("Usage gpu_seconds 102 at 5.2 of 2026-11 (51 lines)", 102),
    ]
    assert summed.is_summary


def test_more_segments_than_stripe_takes_are_summed_more_coarsely() -> None:
    sent = plan_lines([line(1, price=str(price)) for price in range(1, 300)], 299)
    assert [(each.description, each.amount_fen) for each in sent.lines] == [("Usage gpu_seconds 299 (299 lines)", 299)]
