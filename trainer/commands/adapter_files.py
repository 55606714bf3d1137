"""What the commands on LoRA files do: export, inspect, merge, resize. Each returns what to print."""

import math
from pathlib import Path

import torch

from trainer.atomic_files import try_writing
from trainer.base_models.config import resolve_base_model
from trainer.errors import BadInput
from trainer.families.registry import get_family_class
from trainer.formats.base_merge import merge_into_base
from trainer.formats.combining import Combined, Weighted, merge_loras, resize_lora
from trainer.formats.inspecting import describe_report, inspect_lora
from trainer.formats.reading import Layout, get_file, read_lora
from trainer.formats.writing import DTYPES, write_lora


def export(file: Path, layout: str, output: Path | None, precision: str | None) -> str:
    """Write a LoRA file in another layout. Raises: BadInput, AdapterUnusable."""
    wanted = parse_layout(layout)
    target = output or name_beside(file, str(wanted))
    try_writing(target.parent, "--output")
    lora, found = read_lora(file)
    write_lora(target, lora, wanted, dtype=parse_precision(precision))
    return f"{len(lora.layers)} layers, {found} → {wanted}: {target}"


def inspect(file: Path, *, as_json: bool) -> str:
    """Report what a LoRA file is, as text or JSON. Raises: AdapterUnusable."""
    report = inspect_lora(file)
    return report.to_json() if as_json else describe_report(report)


def resize(file: Path, rank: int, output: Path | None) -> str:
    """Bring a LoRA to a smaller rank. Raises: BadInput, AdapterUnusable."""
    target = output or name_beside(file, f"rank{rank}")
    try_writing(target.parent, "--output")
    lora, layout = read_lora(file)
    return write_combined(resize_lora(lora, rank), layout, target)


def merge(files: list[str], rank: int | None, output: Path, base: str | None) -> str:
    """Merge LoRAs into one, or into a copy of their base model. Raises: BadInput, AdapterUnusable."""
    wanted = [split_weight(text) for text in files]
    if base is None and output.suffix != ".safetensors":
        raise BadInput("--output", f"{output} must end in .safetensors (a folder needs --base)")
    try_writing(output.parent, "--output")
    loras = [read_lora(path) for path, _ in wanted]
    weighted = [Weighted(lora, weight, path.name) for (lora, _), (path, weight) in zip(loras, wanted, strict=True)]
    if base is not None:
        changed = merge_into_base(get_model_folder(base), weighted, output)
        return f"{changed} layers changed: {output}"
    highest = max(layer.rank for lora, _ in loras for layer in lora.layers)
    return write_combined(merge_loras(weighted, rank or highest), loras[0][1], output)


def write_combined(combined: Combined, layout: Layout, output: Path) -> str:
    write_lora(output, combined.lora, layout)
    return f"{combined.kept:.2%} of the squared norm kept: {output}"


def split_weight(text: str) -> tuple[Path, float]:
    """Split `style.safetensors:0.7` into the path and 0.7; without a weight it is 1.0. Raises: BadInput."""
    path, colon, weight = text.rpartition(":")
    if not colon or Path(text).exists() or not Path(path).exists():
        return Path(text), 1.0
    try:
        taken = float(weight)
    except ValueError:
        taken = math.nan
    if not math.isfinite(taken):
        raise BadInput("FILE", f"{text}: the weight {weight!r} is no finite number; write {path}:0.7")
    return Path(path), taken


def get_model_folder(base: str) -> Path:
    """Get a folder with weights under transformers' or diffusers' names: GGUF de-quantized, ChatGLM converted.

    Raises: BadInput.
    """
    source = resolve_base_model(base)
    folder = get_family_class(source).prepare_weights(source)
    if folder.is_file():
        raise BadInput("--base", f"{folder} is one file; give the diffusers folder of the model")
    return folder


def name_beside(file: Path, suffix: str) -> Path:
    """Turn `style.safetensors` into `style.kohya.safetensors`; a folder's adapter takes the folder's name."""
    real = get_file(file)
    return real.with_name(f"{real.stem}.{suffix}.safetensors")


def parse_layout(text: str) -> Layout:
    try:
        return Layout(text)
    except ValueError as error:
        raise BadInput("--format", f"{text!r} is none of {', '.join(Layout)}") from error


def parse_precision(text: str | None) -> torch.dtype | None:
    if text is not None and text not in DTYPES:
        raise BadInput("--precision", f"{text!r} is none of {', '.join(DTYPES)}")
    return DTYPES[text] if text else None
