"""The labelling of many pictures: in batches, past what cannot be opened, on from what was said before."""

import pytest

from tests.trainer.checking.pictures import write_pictures
from trainer.data.quality_samples import list_pictures
from trainer.errors import CheckpointUnusable
from trainer.labelling.session import Labels, label_in_batches
from trainer.labelling.words import Label


class Counting:
    """Says how many pictures it has seen before."""

    def __init__(self) -> None:
        self.seen = 0

    def label(self, pictures):
        said = [Label(f"picture {self.seen + place}", 2) for place in range(len(pictures))]
        self.seen += len(pictures)
        return said


@pytest.fixture
def samples(tmp_path):
    write_pictures(tmp_path / "style", 5, captions=False)
    (tmp_path / "style" / "003.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return list_pictures(tmp_path / "style").samples


def test_each_picture_is_labelled_once_and_the_damaged_one_named(samples, tmp_path) -> None:
    labels = Labels()
    batches = list(label_in_batches(Counting(), samples, labels, batch_size=2))
    assert [list(batch) for batch in batches] == [["000.png", "001.png"], ["002.png"], ["004.png"]]
    assert (labels.done, list(labels.unusable)) == (5, ["003.png"])
    again = Labels.load(labels.save(tmp_path / "kept"))
    assert again == labels
    assert list(label_in_batches(Counting(), samples, again, batch_size=2)) == []


def test_it_goes_on_behind_what_was_said(samples) -> None:
    labels = Labels({"001.png": Label("before", 3)})
    for _ in label_in_batches(Counting(), samples, labels, batch_size=4):
        pass
    assert labels.said["001.png"] == Label("before", 3)
    assert list(labels.said) == ["001.png", "000.png", "002.png", "004.png"]


@pytest.mark.parametrize("content", ["", "[]", '{"pictures": [{"name": "a"}], "unusable": {}}'])
def test_a_damaged_state_is_told_as_a_checkpoint_that_cannot_be_used(tmp_path, content) -> None:
    (tmp_path / "labels.json").write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointUnusable):
        Labels.load(tmp_path)
