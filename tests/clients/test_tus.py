"""The client of the tus protocol itself, unchanged: pieces with checksums, a break, and a data set at the end."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.broker.factories import ROWS, jsonl
from tests.clients.conftest import FOLDER, Buyer

PYTHON = FOLDER / "uploads" / "bin" / "python"


@pytest.mark.skipif(not PYTHON.exists(), reason="tuspy is not installed: tests/clients/install")
def test_a_file_comes_in_pieces_after_a_break_and_becomes_a_data_set(buyer: Buyer, tmp_path: Path) -> None:
    data = tmp_path / "tea.jsonl"
    data.write_bytes(b"\n".join([jsonl()] * 10))
    command = [PYTHON, Path(__file__).parent / "tus_walk.py", f"{buyer.broker.url}/v1/uploads", data]
    walked = subprocess.run(
        command, env=os.environ | {"BROKER_KEY": buyer.key}, capture_output=True, text=True, check=False
    )
    assert walked.returncode == 0, walked.stderr
    upload_id = walked.stdout.strip().rpartition("/")[2]
    with buyer.client as own:
        dataset = own.post("/datasets/from-uploads", {"upload_ids": [upload_id]})
    assert (dataset["name"], dataset["usable_rows"]) == ("tea.jsonl", 10 * len(ROWS))
