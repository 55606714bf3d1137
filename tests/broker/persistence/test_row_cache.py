"""What a row was read as is found for the very same values, and for no others."""

from cachetools import LRUCache

from broker.persistence.row_cache import RowCache


def test_a_row_with_the_same_values_is_what_it_was_read_as() -> None:
    cache = RowCache()
    assert cache.keep(("con_1", 5, {"rate": "0.06"}), "terms") == "terms"
    assert cache.find(str, ("con_1", 5, {"rate": "0.06"})) == "terms"
    assert cache.find(str, ("con_2", 5, {"rate": "0.06"})) is None
    assert cache.find(int, ("con_1", 5, {"rate": "0.06"})) is None


def test_a_row_that_has_changed_is_read_anew() -> None:
    cache = RowCache()
    cache.keep(("con_1", 5, {"rate": "0.06"}), "terms")
    assert cache.find(str, ("con_1", 6, {"rate": "0.06"})) is None
    assert cache.find(str, ("con_1", 5, {"rate": "0.13"})) is None


def test_the_longest_unused_goes_first() -> None:
    cache = RowCache(LRUCache(1))
    cache.keep(("con_1",), "first")
    cache.keep(("con_2",), "second")
    assert [cache.find(str, (name,)) for name in ("con_1", "con_2")] == [None, "second"]
