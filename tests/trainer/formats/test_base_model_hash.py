"""A base model is known by its weights, not by its place."""

import hashlib

from trainer.formats.base_model_hash import hash_base_model


def test_a_file_has_the_hash_that_webui_shows(tmp_path) -> None:
    file = tmp_path / "v1-5-pruned.safetensors"
    file.write_bytes(b"weights")
    assert hash_base_model(file) == hashlib.sha256(b"weights").hexdigest()


def test_a_folder_is_the_same_wherever_it_lies_and_another_with_one_other_byte(tmp_path) -> None:
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name / "unet").mkdir(parents=True)
        (tmp_path / name / "unet" / "model.safetensors").write_bytes(content)
        (tmp_path / name / "README.md").write_text(name)
    first, same, other = (hash_base_model(tmp_path / name) for name in "abc")
    assert first == same != other
