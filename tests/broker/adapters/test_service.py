"""What is taken for a safetensors file: by its beginning, and no pickle by any name."""

import pickle
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.adapters.service import is_safetensors
from tests.broker.adapter_files import safetensors_file


def with_header(header: bytes, *, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        b"\0" * 8,
        pickle.dumps({"lora": [1.0]}),
        b"PK\x03\x04" + b"\0" * 100,
        with_header(b"{}", length=2**63),
        with_header(b"{}", length=3),
        with_header(b"[]"),
        with_header(b"{'a': 1}"),
        with_header(b"\xff\xfe"),
    ],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert not is_safetensors(tmp_path / "x")


def test_safetensors_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(safetensors_file())
    assert is_safetensors(tmp_path / "x")


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_break_the_check(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert is_safetensors(tmp_path / "x") in {True, False}
