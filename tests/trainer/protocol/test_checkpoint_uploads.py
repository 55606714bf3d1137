"""A folder goes into one tar and comes out again, and nothing else does."""

import io
import tarfile
import threading
from pathlib import Path

import pytest

from trainer.protocol.checkpoint_uploads import CheckpointUploads, pack_folder, unpack_folder


def write_tar(file: Path, *members: tarfile.TarInfo) -> None:
    with tarfile.open(file, "w") as tar:
        for member in members:
            member.size = 1 if member.isreg() else 0
            tar.addfile(member, io.BytesIO(b"x") if member.isreg() else None)


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


class SlowClient:
    """A client whose first upload takes until it is let go."""

    def __init__(self) -> None:
        self.begun, self.let_go = threading.Event(), threading.Event()

    def upload_checkpoint(self, _step: int, _file: Path) -> None:
        self.begun.set()
        assert self.let_go.wait(20)


def test_checkpoint_that_waits_at_the_end_leaves_no_file(tmp_path: Path) -> None:
    """A past fault: what was dropped at a run's end stayed on the disk."""
    for step in (1, 2):
        (tmp_path / f"checkpoint-{step}").mkdir()
    client = SlowClient()
    uploads = CheckpointUploads(client, tmp_path / "uploads")  # type: ignore[arg-type]
    uploads.submit(tmp_path / "checkpoint-1", 1)
    assert client.begun.wait(20)
    uploads.submit(tmp_path / "checkpoint-2", 2)
    closing = threading.Thread(target=uploads.close)
    closing.start()
    client.let_go.set()
    closing.join(20)
    assert list((tmp_path / "uploads").iterdir()) == []


def test_folder_comes_out_as_it_went_in(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "state.json").write_text("{}")
    pack_folder(tmp_path / "in", tmp_path / "folder.tar")
    unpack_folder(tmp_path / "folder.tar", tmp_path / "out")
    assert [(path.name, path.read_text()) for path in (tmp_path / "out").iterdir()] == [("state.json", "{}")]


def test_files_in_folders_are_unpacked_in_theirs(tmp_path: Path) -> None:
    """A past fault: on Debian 12's own Python no data set could be unpacked at all."""
    write_tar(tmp_path / "data.tar", tarfile.TarInfo("10_style/a.txt"), tarfile.TarInfo("10_style/b.txt"))
    unpack_folder(tmp_path / "data.tar", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "10_style").iterdir()) == ["a.txt", "b.txt"]


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo("/outside"),
        tarfile.TarInfo("a/../../outside"),
        link("link", "/etc/passwd", tarfile.SYMTYPE),
        link("link", "../outside", tarfile.LNKTYPE),
        link("pipe", "", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name} {member.linkname}",
)
def test_member_that_is_no_plain_file_within_leaves_nothing(tmp_path: Path, member: tarfile.TarInfo) -> None:
    write_tar(tmp_path / "data.tar", tarfile.TarInfo("first"), member)
    with pytest.raises(tarfile.TarError):
        unpack_folder(tmp_path / "data.tar", tmp_path / "here" / "out")
    assert not (tmp_path / "here" / "out").exists()
    assert not (tmp_path / "outside").exists()
