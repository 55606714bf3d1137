"""Identifiers."""

import itertools

from broker.ids import DIGITS, UlidSequence, new_id

MOMENT_NS = 1_469_918_176_385 * 1_000_000  # of the example in the specification of ULIDs: 01ARYZ6S41…


def test_an_id_is_its_prefix_and_26_digits() -> None:
    prefix, _, digits = new_id("job").partition("_")
    assert prefix == "job"
    assert len(digits) == 26
    assert set(digits) <= set(DIGITS)


def test_the_first_ten_digits_are_the_milliseconds() -> None:
    assert UlidSequence(lambda: MOMENT_NS).next().startswith("01aryz6s41")


def test_ids_of_one_millisecond_sort_in_the_order_of_making() -> None:
    ulids = UlidSequence(lambda: MOMENT_NS)
    made = [ulids.next() for _ in range(1_000)]
    assert made == sorted(set(made))


def test_ids_sort_even_where_the_clock_is_set_back() -> None:
    moments = itertools.chain([MOMENT_NS], itertools.repeat(MOMENT_NS - 5_000_000_000))
    ulids = UlidSequence(lambda: next(moments))
    made = [ulids.next() for _ in range(3)]
    assert made == sorted(set(made))


def test_two_processes_do_not_make_the_same() -> None:
    assert UlidSequence(lambda: MOMENT_NS).next() != UlidSequence(lambda: MOMENT_NS).next()
