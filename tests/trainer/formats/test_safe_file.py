"""What is read of an adapter's file is a copy of it."""

import pytest
import torch
from safetensors.torch import save, save_file

from trainer.errors import AdapterUnusable
from trainer.formats.safe_file import map_safetensors, read_safetensors


def test_an_adapter_that_was_read_is_no_part_of_its_file_any_more(tmp_path) -> None:
    """Past fault: a file that was copied over another changed the adapter that was served, and one that was cut off
    ended the server.
    """
    file = tmp_path / "a.safetensors"
    save_file({"weight": torch.arange(4096.0)}, file, metadata={"made": "here"})
    tensors, header = read_safetensors(file)
    with file.open("r+b") as opened:
        opened.seek(-4096, 2)
        opened.write(b"\xff" * 4096)
    assert torch.equal(tensors["weight"], torch.arange(4096.0))
    assert header == {"made": "here"}
    file.write_bytes(b"")
    assert float(tensors["weight"].sum()) == 4095 * 2048


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16, torch.float64, torch.int32, torch.bool])
def test_both_ways_to_read_agree(dtype, tmp_path) -> None:
    file = tmp_path / "a.safetensors"
    many = {f"layer{number}": torch.full((2,), float(number)) for number in range(12)}
    save_file(many | {"weight": torch.arange(6.0).reshape(2, 3).to(dtype), "none": torch.empty(0, 3)}, file)
    (read, header), (mapped, other) = read_safetensors(file), map_safetensors(file)
    assert sorted(read) == sorted(mapped) == sorted([*many, "weight", "none"])
    assert list(read) == list(read_safetensors(file)[0])
    assert all(torch.equal(read[name].float(), mapped[name].float()) for name in read)
    assert all(read[name].shape == mapped[name].shape for name in read)
    assert header == other == {}


@pytest.mark.parametrize("length", [0, 7, 8, 60, 100])
def test_a_file_that_was_cut_off_is_a_message(length, tmp_path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(save({"weight": torch.ones(8)})[:length])
    for read in (read_safetensors, map_safetensors):
        with pytest.raises(AdapterUnusable, match=r"a.safetensors is no .safetensors file that can be read"):
            read(file)
