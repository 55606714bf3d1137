"""Identifiers."""

import uuid

from broker.ids import NANOSECONDS, UlidMaker, new_id, relate_id

# The example of the specification of ULIDs.
KNOWN = "01arz3ndektsv4rrffq69g5fav"
KNOWN_BYTES = uuid.UUID("01563e3a-b5d3-d676-4c61-efb99302bd5b").bytes
KNOWN_MOMENT = int.from_bytes(KNOWN_BYTES[:6]) * NANOSECONDS


def test_ids_of_a_kind_sort_by_the_time_they_were_made() -> None:
    made = [new_id("job") for _ in range(50)]
    assert made == sorted(made)
    assert len(set(made)) == 50


def test_related_id_is_of_its_own_kind_and_has_the_same_ulid() -> None:
    assert relate_id("hol", "job_01k9zz") == "hol_01k9zz"


def test_a_ulid_is_written_as_its_specification_has_it() -> None:
    assert UlidMaker(lambda: KNOWN_MOMENT, lambda _count: KNOWN_BYTES[6:]).make() == KNOWN


def test_of_one_millisecond_each_is_one_more_and_the_next_one_is_drawn_anew() -> None:
    moments = iter([KNOWN_MOMENT, KNOWN_MOMENT + NANOSECONDS - 1, KNOWN_MOMENT + NANOSECONDS])
    drawn = iter([bytes([0] * 9 + [31]), bytes([255] * 10)])
    maker = UlidMaker(lambda: next(moments), lambda _count: next(drawn))
    assert [maker.make() for _ in range(3)] == [
        "01arz3ndek000000000000000z",
        "01arz3ndek0000000000000010",
        "01arz3ndemzzzzzzzzzzzzzzzz",
    ]


def test_the_last_random_number_is_followed_by_the_first() -> None:
    maker = UlidMaker(lambda: KNOWN_MOMENT, lambda _count: bytes([255] * 10))
    assert [maker.make()[10:] for _ in range(2)] == ["z" * 16, "0" * 16]
