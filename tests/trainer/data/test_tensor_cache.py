"""Tensors on disk by content."""

import pytest
import torch

from trainer.data.tensor_cache import TensorCache, make_key
from trainer.errors import TrainerError


def test_what_was_put_is_found_by_the_next_process(tmp_path) -> None:
    TensorCache(tmp_path).put(make_key("a"), {"x": torch.arange(6).reshape(2, 3).T})
    found = TensorCache(tmp_path).get(make_key("a"))
    assert found["x"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_keys_of_different_parts_differ() -> None:
    keys = [make_key("ab", "c"), make_key("a", "bc"), make_key("abc"), make_key("abc", "")]
    assert len(set(keys)) == 4


def test_a_damaged_entry_counts_as_none(tmp_path) -> None:
    cache, key = TensorCache(tmp_path), make_key("a")
    cache.put(key, {"x": torch.ones(4)})
    next(tmp_path.rglob("*.safetensors")).write_bytes(b"half")
    assert TensorCache(tmp_path).find(key) is None


def test_memory_is_bounded_and_nothing_is_lost(tmp_path) -> None:
    cache = TensorCache(tmp_path, memory_bytes=100)
    for number in range(10):
        cache.put(make_key(str(number)), {"x": torch.full((10,), float(number))})
        assert cache._held.currsize <= 100
    assert [cache.get(make_key(str(number)))["x"][0].item() for number in range(10)] == list(range(10))


def test_an_entry_larger_than_the_memory_is_on_disk_alone_and_drives_no_other_out(tmp_path) -> None:
    cache = TensorCache(tmp_path, memory_bytes=100)
    cache.put(make_key("small"), {"x": torch.ones(10)})
    cache.put(make_key("large"), {"x": torch.ones(100)})
    assert list(cache._held) == [make_key("small")]
    assert cache.get(make_key("large"))["x"].sum().item() == 100


def test_an_entry_that_was_deleted_meanwhile_is_told(tmp_path) -> None:
    with pytest.raises(TrainerError, match="gone from the cache; start again"):
        TensorCache(tmp_path).get(make_key("never"))
