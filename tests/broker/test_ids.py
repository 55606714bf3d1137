"""Identifiers."""

from broker.ids import new_id, relate_id


def test_ids_of_a_kind_sort_by_the_time_they_were_made() -> None:
    made = [new_id("job") for _ in range(50)]
    assert made == sorted(made)
    assert len(set(made)) == 50


def test_related_id_is_of_its_own_kind_and_has_the_same_ulid() -> None:
    assert relate_id("hol", "job_01k9zz") == "hol_01k9zz"
