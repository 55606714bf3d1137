"""To which payments a refund goes back."""

from hypothesis import given
from hypothesis import strategies as st

from broker.payments.stripe.refund_parts import Refundable, RefundPart, share_refund


def test_refund_is_shared_in_order_as_far_as_each_payment_reaches() -> None:
    payments = [Refundable("pi_1", 100), Refundable("pi_2", 0), Refundable("pi_3", 50)]
    assert share_refund(120, payments) == [RefundPart("pi_1", 100), RefundPart("pi_3", 20)]


def test_refund_above_what_is_left_is_none() -> None:
    assert share_refund(151, [Refundable("pi_1", 100), Refundable("pi_3", 50)]) is None


@given(fen=st.integers(1, 1000), left=st.lists(st.integers(0, 300), max_size=8))
def test_parts_add_up_and_none_is_above_its_payment(fen: int, left: list[int]) -> None:
    payments = [Refundable(f"pi_{place}", each) for place, each in enumerate(left)]
    parts = share_refund(fen, payments)
    assert (parts is None) == (sum(left) < fen)
    if parts is not None:
        most = {each.payment_intent: each.left_fen for each in payments}
        assert sum(part.fen for part in parts) == fen
        assert all(0 < part.fen <= most[part.payment_intent] for part in parts)
