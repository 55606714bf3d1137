"""Identifiers."""

from ulid import ULID

from broker.ids import new_id, relate_id, write_ulid


def test_ids_of_a_kind_sort_by_the_time_they_were_made() -> None:
    made = [new_id("job") for _ in range(50)]
    assert made == sorted(made)
    assert len(set(made)) == 50


def test_related_id_is_of_its_own_kind_and_has_the_same_ulid() -> None:
    assert relate_id("hol", "job_01k9zz") == "hol_01k9zz"


def test_ulid_is_written_as_its_library_writes_it() -> None:
    for ulid in (ULID(), ULID(bytes(16)), ULID(b"\xff" * 16)):
        assert write_ulid(ulid) == str(ulid).lower()
