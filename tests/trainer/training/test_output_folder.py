"""The output folder: tried before work begins, one run at a time, and tidy after a kill."""

import errno
import json
import os
import signal
import subprocess
import sys
import types

import pytest

from trainer.errors import BadInput, CannotWrite
from trainer.training.output_folder import holding_output_folder, refuse_without_room

HOLD = """
import sys, time
from pathlib import Path
from trainer.training.output_folder import holding_output_folder
with holding_output_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_run_is_refused_with_the_firsts_process_and_host_and_a_killed_one_holds_nothing(tmp_path) -> None:
    first = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    try:
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(BadInput, match=f"written by process {first.pid} on {os.uname().nodename}; .*output_dir"):
            holding_output_folder(tmp_path).__enter__()
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
        first.stdout.close()
    with holding_output_folder(tmp_path):
        assert json.loads((tmp_path / ".running").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["output", "output/checkpoints"])
def test_a_folder_that_cannot_be_written_is_told_before_anything_is_loaded(tmp_path, place) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("a file")
    with pytest.raises(CannotWrite, match=rf"{place} cannot be written \(Not a directory\)"):
        holding_output_folder(tmp_path / "output").__enter__()
    assert not (tmp_path / "output" / ".running").exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES, errno.EDQUOT])
def test_what_the_system_says_against_writing_is_told(tmp_path, monkeypatch, number) -> None:
    def refuse(*_args: object, **_keys: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("trainer.atomic_files.NamedTemporaryFile", refuse)
    with pytest.raises(CannotWrite, match=f"cannot be written .{os.strerror(number)}"):
        holding_output_folder(tmp_path).__enter__()


def test_what_a_killed_run_left_half_written_is_taken_away_and_an_old_folder_gets_its_name_back(tmp_path) -> None:
    checkpoints = tmp_path / "checkpoints"
    for name in (".step-00000002.writing", ".step-00000001.old", ".step-00000003.old", "step-00000003"):
        (checkpoints / name).mkdir(parents=True)
    (tmp_path / ".adapter_model.safetensors.writing").touch()
    (tmp_path / ".probe.abc").touch()
    with holding_output_folder(tmp_path):
        assert sorted(path.name for path in checkpoints.iterdir()) == ["step-00000001", "step-00000003"]
        assert sorted(path.name for path in tmp_path.iterdir()) == [".running", "checkpoints"]


def test_a_disk_without_room_for_the_adapter_is_told(tmp_path, monkeypatch) -> None:
    usage = types.SimpleNamespace(free=2 * 2**20)
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: usage)
    refuse_without_room(tmp_path, 2 * 2**20)
    with pytest.raises(BadInput, match=r"2\.0 MiB free, and the adapter alone takes 3\.0 MiB"):
        refuse_without_room(tmp_path, 3 * 2**20)
