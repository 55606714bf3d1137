"""What was read is found under its type and name while its source is the same, and the longest unused goes first."""

from cachetools import LRUCache

from broker.persistence.read_cache import ReadCache

ROW = ("con_1", 5, {"rate": "0.06"})


def test_what_was_kept_is_found_under_its_own_type_and_name() -> None:
    cache = ReadCache()
    assert cache.keep("1", "a card") == "a card"
    assert cache.find(str, "1") == "a card"
    assert cache.find(str, "2") is None
    assert cache.find(int, "1") is None


def test_a_row_with_the_same_values_is_what_it_was_read_as() -> None:
    cache = ReadCache()
    assert cache.keep("con_1", "terms", ROW) == "terms"
    assert cache.find(str, "con_1", ("con_1", 5, {"rate": "0.06"})) == "terms"


def test_a_row_that_has_changed_is_read_anew() -> None:
    cache = ReadCache()
    cache.keep("con_1", "terms", ROW)
    assert cache.find(str, "con_1", ("con_1", 6, {"rate": "0.06"})) is None
    assert cache.find(str, "con_1", ("con_1", 5, {"rate": "0.13"})) is None
    assert cache.find(str, "con_1") is None


def test_the_longest_unused_goes_first() -> None:
    cache = ReadCache(LRUCache(2))
    cache.keep("1", "first")
    cache.keep("2", "second")
    assert cache.find(str, "1") == "first"
    cache.keep("3", "third")
    assert [cache.find(str, name) for name in ("1", "2", "3")] == ["first", None, "third"]
