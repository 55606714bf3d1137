"""Idempotency keys."""

from broker.payments.stripe.keys import hash_content, make_key


def test_key_names_object_step_and_content() -> None:
    key = make_key("inv_1", "lines", {"body": {"lines": [{"amount": 1}]}})
    assert key == f"inv_1:lines:{hash_content({'body': {'lines': [{'amount': 1}]}})}"


def test_same_content_in_another_order_has_the_same_key_and_another_content_another() -> None:
    assert hash_content({"a": 1, "b": 2}) == hash_content({"b": 2, "a": 1})
    assert hash_content({"a": 1, "b": 2}) != hash_content({"a": 1, "b": 3})


def test_later_key_of_a_step_has_a_number() -> None:
    assert make_key("inv_1", "void", {}, number=2) == f"{make_key('inv_1', 'void', {})}:2"
