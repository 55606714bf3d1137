"""The nearest of a family, found in two statements however long its line is."""

from broker.adapters.lineage import find_nearest


def test_the_nearest_of_a_family_come_first_and_no_more_than_are_wanted() -> None:
    line = [(f"a{place + 1}", f"a{place}") for place in range(1000)]
    others = [("b1", "b0"), ("a500x", "a500")]
    found = find_nearest("a500", [*line, *others], most=101)
    assert (len(found), found[:2], set(found[1:4])) == (101, ["a500", found[1]], {"a499", "a501", "a500x"})
    assert not {"b0", "b1"} & set(found)


def test_one_without_a_family_is_alone() -> None:
    assert find_nearest("a0", [("b1", "b0")], most=101) == ["a0"]
