"""The hash by which an operator's base model is known: of the files that training reads, and of no others."""

from pathlib import Path

import pytest

from pricing.catalog import get_base_model
from trainer.base_models.config import BASE_MODELS_DIR, resolve_added_model
from trainer.base_models.model_files import hash_model, hash_model_once, list_model_files
from trainer.errors import BadInput, BaseModelMissing


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "our-own"
    (folder / "unet").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "unet" / "model.safetensors").write_bytes(b"weights")
    return folder


def hash_folder(folder: Path) -> str:
    return hash_model(list_model_files(folder))


@pytest.mark.parametrize("name", ["README.md", "pytorch_model.bin", ".git/config.json", ".cache/x.json"])
def test_what_training_does_not_read_changes_nothing(model: Path, name: str) -> None:
    before = hash_folder(model)
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_text("whatever")
    assert hash_folder(model) == before


def test_another_content_or_another_place_of_a_file_is_another_model(model: Path) -> None:
    first = hash_folder(model)
    (model / "unet" / "model.safetensors").rename(model / "model.safetensors")
    moved = hash_folder(model)
    (model / "model.safetensors").write_bytes(b"Weights")
    assert len({first, moved, hash_folder(model)}) == 3


def test_single_file_has_the_same_hash_under_any_name(tmp_path: Path) -> None:
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    one.write_bytes(b"weights")
    other.write_bytes(b"weights")
    assert hash_model(list_model_files(one)) == hash_model(list_model_files(other))


def test_hash_is_computed_anew_once_a_file_changes(model: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LORA_TRAINER_CACHE", str(tmp_path / "cache"))
    first = hash_model_once(model)
    assert hash_model_once(model) == first == hash_folder(model)
    (model / "config.json").write_text('{"a": 1}')
    assert hash_model_once(model) == hash_folder(model) != first


def test_folder_without_a_file_of_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no file of a model"):
        list_model_files(tmp_path)


def test_worker_takes_the_files_that_were_quoted_and_no_others(model: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LORA_TRAINER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(BASE_MODELS_DIR, str(tmp_path))
    shipped = get_base_model("smollm2-135m-instruct")
    quoted = shipped.model_copy(update={"name": "our-own", "weights_sha256": hash_folder(model)})
    source = resolve_added_model(quoted)
    assert (source.name, source.weights, source.profile) == ("our-own", model, quoted)
    (model / "config.json").write_text('{"a": 1}')
    with pytest.raises(BaseModelMissing, match="copy them here again"):
        resolve_added_model(quoted)
    with pytest.raises(BaseModelMissing, match="put them there"):
        resolve_added_model(quoted.model_copy(update={"name": "elsewhere"}))
