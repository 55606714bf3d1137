"""GGUF files are de-quantized once and kept as a plain model folder, so that the second start is quick."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import torch

from trainer.base_models.cache_dir import get_cache_dir
from trainer.base_models.transformers_quiet import transformers

FORMAT = "fp32-v1"  # changes with what is written below, so that an older folder is not mistaken for it


def dequantize_once(gguf: Path) -> Path:
    """Return the folder with the fp32 weights, configuration and tokenizer of this GGUF file, made if it is not there
    yet.

    The folder's name is the hash of the file, and it appears complete or not at all.
    """
    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = get_cache_dir() / "dequantized" / f"{gguf.stem}-{digest[:16]}-{FORMAT}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        _write_dequantized(gguf, aside)
        _publish(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _write_dequantized(gguf: Path, folder: Path) -> None:
    auto = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name, "local_files_only": True}
    read = transformers.AutoModelForCausalLM.from_pretrained(**auto, dtype=torch.float32)
    config = read.config
    del config.quantization_config  # save_pretrained refuses a model that says it is quantized
    with torch.device("meta"):
        plain = transformers.AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(read.state_dict(), assign=True)
    plain.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(**auto).save_pretrained(folder)


def _publish(aside: Path, folder: Path) -> None:
    for path in aside.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was quicker; its folder is as good
            raise
