"""What was parsed is kept under its type and version, and the longest unused goes first."""

from cachetools import LRUCache

from broker.persistence.version_cache import VersionCache


def test_what_was_kept_is_found_under_its_own_type_and_version() -> None:
    parsed = VersionCache()
    assert parsed.keep("1", "a card") == "a card"
    assert parsed.find(str, "1") == "a card"
    assert parsed.find(str, "2") is None
    assert parsed.find(int, "1") is None


def test_the_longest_unused_goes_first() -> None:
    parsed = VersionCache(LRUCache(2))
    parsed.keep("1", "first")
    parsed.keep("2", "second")
    assert parsed.find(str, "1") == "first"
    parsed.keep("3", "third")
    assert [parsed.find(str, version) for version in ("1", "2", "3")] == ["first", None, "third"]
