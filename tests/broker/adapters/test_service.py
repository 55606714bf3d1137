"""What is taken for a safetensors file: by its beginning, and no pickle by any name."""

import asyncio
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.adapters.service import read_header
from broker.persistence.folder_storage import FolderStorage
from broker.persistence.storage import one_chunk
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
        with_header(b'{"a":' * 100_000),  # a past fault: it was answered by 500
    ],
)
async def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    assert await read(tmp_path, content) is None


async def read(folder: Path, content: bytes) -> dict[str, Any] | None:
    storage = FolderStorage(folder)
    await storage.write("x", one_chunk(content), max_bytes=10**6)
    return await read_header(storage, "x")


async def test_safetensors_file_is_taken(tmp_path: Path) -> None:
    assert await read(tmp_path, safetensors_file()) is not None


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_break_the_check(tmp_path: Path, content: bytes) -> None:
    found = asyncio.run(read(tmp_path, content))
    assert found is None or isinstance(found, dict)
