"""Checkpoints on disk: complete or absent, and never a pickle."""

import json

import pytest
import torch

from trainer.atomic_files import writing_folder
from trainer.errors import CannotWrite, CheckpointUnusable
from trainer.training.checkpoint import Checkpoint, CheckpointFolder, read_checkpoint
from trainer.training.resume import find_readable


def make_checkpoint(step: int = 7) -> Checkpoint:
    return Checkpoint(step, {"a": torch.arange(4.0), "step": torch.tensor(3.0)}, {"note": "x"})


def test_a_checkpoint_comes_back_as_it_was(tmp_path) -> None:
    folder = CheckpointFolder(tmp_path).save(make_checkpoint())
    read = read_checkpoint(folder)
    assert (folder.name, read.step, read.facts["note"]) == ("step-00000007", 7, "x")
    assert all(torch.equal(read.tensors[name], tensor) for name, tensor in make_checkpoint().tensors.items())
    assert {path.name for path in folder.iterdir()} == {"state.safetensors", "state.json"}


def test_a_save_that_breaks_off_leaves_the_last_good_one(tmp_path, monkeypatch) -> None:
    folder = CheckpointFolder(tmp_path)
    good = folder.save(make_checkpoint(5))

    def break_off(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainer.training.checkpoint.save_file", break_off)
    with pytest.raises(CannotWrite, match=r"No space left.*free some space"):
        folder.save(make_checkpoint(6))
    assert [path.name for path in tmp_path.iterdir()] == [good.name]
    assert folder.find_latest() == good


def test_what_a_killed_process_left_behind_is_no_checkpoint_and_in_nobodys_way(tmp_path) -> None:
    folder = CheckpointFolder(tmp_path)
    (tmp_path / ".step-00000007.writing").mkdir()
    (tmp_path / ".step-00000007.writing" / "state.json").write_text("{")
    assert folder.find_latest() is None
    assert read_checkpoint(folder.save(make_checkpoint())).step == 7


def test_saving_the_same_step_again_replaces_it(tmp_path) -> None:
    folder = CheckpointFolder(tmp_path)
    folder.save(make_checkpoint())
    folder.save(Checkpoint(7, {"a": torch.zeros(1)}, {"note": "y"}))
    assert read_checkpoint(tmp_path / "step-00000007").facts["note"] == "y"
    assert len(list(tmp_path.iterdir())) == 1


def test_checkpoints_of_others_are_not_pruned(tmp_path) -> None:
    with writing_folder(tmp_path / "step-00000001") as aside:
        (aside / "mine").touch()
    folder = CheckpointFolder(tmp_path)
    for step in (2, 3, 4):
        folder.save(make_checkpoint(step))
    assert sorted(path.name[-1] for path in tmp_path.iterdir()) == ["1", "3", "4"]


def test_a_run_that_goes_on_again_and_again_keeps_two_checkpoints(tmp_path) -> None:
    """Ten kills left eight strays: each run knew of the one that it went on from, and of no other."""
    resumed = None
    for step in range(2, 22, 2):
        folder = CheckpointFolder(tmp_path, resumed)
        folder.save(make_checkpoint(step - 1))
        resumed = folder.save(make_checkpoint(step))
    assert [path.name[-2:] for path in folder.list_oldest_first()] == ["19", "20"]


def test_a_run_that_goes_back_gives_up_what_came_after_with_its_first_save(tmp_path) -> None:
    for step in (100, 200, 300):
        CheckpointFolder(tmp_path).save(make_checkpoint(step))
    (tmp_path / "step-notes").mkdir()
    folder = CheckpointFolder(tmp_path, tmp_path / "step-00000100")
    folder.save(make_checkpoint(150))
    assert [path.name[-3:] for path in folder.list_oldest_first()] == ["100", "150"]
    assert folder.find_latest().name == "step-00000150"
    assert (tmp_path / "step-notes").is_dir()


def test_steps_are_ordered_as_numbers(tmp_path) -> None:
    folder = CheckpointFolder(tmp_path)
    for step in (10**8, 99_999_999):
        folder.save(make_checkpoint(step))
    assert folder.find_latest().name == "step-100000000"


def test_auto_passes_over_a_damaged_last_checkpoint_and_says_so(tmp_path, capsys) -> None:
    folder = CheckpointFolder(tmp_path)
    good, damaged = folder.save(make_checkpoint(5)), folder.save(make_checkpoint(10))
    flip_last_byte(damaged / "state.safetensors")
    assert find_readable(folder) == good
    assert "step-00000010 is damaged" in (said := capsys.readouterr().out)
    assert "going on from the one before it, step-00000005" in said
    flip_last_byte(good / "state.safetensors")
    with pytest.raises(CheckpointUnusable, match=r"no checkpoint in .* can be read .*delete that folder"):
        find_readable(folder)


def flip_last_byte(file) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("text", ["[]", "null", "[" * 100_000, '{"format": 1, "step": "7"}', '{"format": 1}', "\x00"])
def test_a_state_that_is_no_state_is_a_message(tmp_path, text) -> None:
    folder = CheckpointFolder(tmp_path).save(make_checkpoint())
    (folder / "state.json").write_text(text)
    with pytest.raises(CheckpointUnusable, match=r"resume_from: .*(readable|damaged)"):
        read_checkpoint(folder)


@pytest.mark.parametrize("damage", ["missing", "json", "tensors", "format"])
def test_a_damaged_checkpoint_is_refused_in_words(tmp_path, damage) -> None:
    folder = CheckpointFolder(tmp_path).save(make_checkpoint())
    match damage:
        case "missing":
            folder /= "nowhere"
        case "json":
            (folder / "state.json").write_text("{")
        case "tensors":
            (folder / "state.safetensors").write_bytes(b"\x80\x04pickle")
        case "format":
            (folder / "state.json").write_text(json.dumps({"format": 99, "step": 7}))
    with pytest.raises(CheckpointUnusable, match="resume_from"):
        read_checkpoint(folder)
