"""De-quantized folders appear whole, once, and by content."""

import pytest

from trainer.base_models import gguf_cache


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Count the de-quantizations, of which the real one is tested on SmolLM2 (test_smollm2.py)."""
    made = []

    def write(gguf, folder) -> None:
        made.append(gguf)
        if gguf.read_bytes() == b"damaged":
            (folder / "half").touch()
            raise ValueError("damaged")
        (folder / "model.safetensors").write_bytes(gguf.read_bytes())

    monkeypatch.setenv("LORA_TRAINER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(gguf_cache, "_write_dequantized", write)
    return made


def test_the_second_start_finds_the_folder_of_the_first(calls, tmp_path) -> None:
    gguf = tmp_path / "small.gguf"
    gguf.write_bytes(b"weights")
    assert gguf_cache.dequantize_once(gguf) == gguf_cache.dequantize_once(gguf)
    assert calls == [gguf]


def test_another_content_under_the_same_name_is_another_folder(calls, tmp_path) -> None:
    gguf = tmp_path / "small.gguf"
    gguf.write_bytes(b"weights")
    first = gguf_cache.dequantize_once(gguf)
    gguf.write_bytes(b"other weights")
    second = gguf_cache.dequantize_once(gguf)
    assert (first / "model.safetensors").read_bytes() == b"weights"
    assert (second / "model.safetensors").read_bytes() == b"other weights"


def test_a_failure_leaves_nothing_behind(calls, tmp_path) -> None:
    gguf = tmp_path / "small.gguf"
    gguf.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="damaged"):
        gguf_cache.dequantize_once(gguf)
    assert list((tmp_path / "cache" / "dequantized").iterdir()) == []


def test_the_slower_of_two_processes_takes_the_folder_of_the_quicker(calls, tmp_path, monkeypatch) -> None:
    gguf = tmp_path / "small.gguf"
    gguf.write_bytes(b"weights")
    write = gguf_cache._write_dequantized

    def write_while_another_is_quicker(gguf, folder) -> None:
        monkeypatch.setattr(gguf_cache, "_write_dequantized", write)
        gguf_cache.dequantize_once(gguf)
        write(gguf, folder)

    monkeypatch.setattr(gguf_cache, "_write_dequantized", write_while_another_is_quicker)
    folder = gguf_cache.dequantize_once(gguf)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
