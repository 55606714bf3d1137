"""What a LoRA file is, for a person and for a script: `trainer inspect`."""

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.formats.combining import compute_norm
from trainer.formats.lora_set import LoraSet
from trainer.formats.model_version import find_base_version
from trainer.formats.reading import Layout, get_file, read_lora_as_it_is

BYTES_PER_MIB = 2**20
LONGEST_VALUE = 100
HOLDERS = ("transformer_blocks.", "layers.", "attentions.", "resnets.", "samplers.", "h.")  # numbered; innermost first
HIDDEN = {"adapter_config", "lora_adapter_metadata", "layer_names", "training_config", "format"}  # long, and told else


@dataclass(frozen=True)
class ModuleReport:
    """All layers of one kind in one model. Norms are Frobenius norms of the change to the weight, scale included; None
    where one is not finite.
    """

    component: str
    module: str
    layers: int
    parameters: int
    norm_mean: float | None
    norm_max: float | None


@dataclass(frozen=True)
class LoraReport:
    """`ranks` and `alphas` map each value to the number of layers that have it; `size_bytes` is the file's; `norm` is
    None where one of a layer is not finite.
    """

    file: str
    layout: Layout
    base_model: str | None
    base_version: str | None
    ranks: dict[int, int]
    alphas: dict[float, int]
    dtype: str
    dora: bool
    layers: int
    parameters: int
    size_bytes: int
    norm: float | None
    finite: bool
    modules: list[ModuleReport]
    metadata: dict[str, str]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False)


def inspect_lora(path: Path) -> LoraReport:
    """Look at a LoRA file of any layout. Raises: AdapterUnusable."""
    lora, layout = read_lora_as_it_is(path)
    header = lora.header
    modules = _report_modules(lora)
    norms = [compute_norm(layer) for layer in lora.layers]
    finite = all(map(math.isfinite, norms))
    return LoraReport(
        file=str(path),
        layout=layout,
        base_model=header.get("base_model") or header.get("ss_sd_model_name"),
        base_version=header.get("ss_base_model_version") or find_base_version(lora),
        ranks=dict(sorted(Counter(layer.rank for layer in lora.layers).items())),
        alphas=dict(sorted(Counter(layer.alpha for layer in lora.layers).items())),
        dtype=", ".join(sorted({str(layer.down.dtype).removeprefix("torch.") for layer in lora.layers})),
        dora=any(layer.magnitude is not None for layer in lora.layers),
        layers=len(lora.layers),
        parameters=sum(module.parameters for module in modules),
        size_bytes=get_file(path).stat().st_size,
        norm=math.sqrt(sum(norm**2 for norm in norms)) if finite else None,
        finite=finite,
        modules=modules,
        metadata=header,
    )


def _report_modules(lora: LoraSet) -> list[ModuleReport]:
    kinds: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for layer in lora.layers:
        kind = (layer.component, _name_kind(layer.path))
        kinds.setdefault(kind, []).append((compute_norm(layer), layer.down.numel() + layer.up.numel()))
    return [
        ModuleReport(
            component,
            module,
            len(found),
            sum(parameters for _, parameters in found),
            _plain(sum(norm for norm, _ in found) / len(found)),
            _plain(max(norm for norm, _ in found)),
        )
        for (component, module), found in sorted(kinds.items())
    ]


def _name_kind(path: str) -> str:
    """Return what stands behind the number of the block: `attn1.to_q`, `ff.net.0.proj`, `self_attn.q_proj`, `conv1`."""
    for holder in HOLDERS:
        if holder in path:
            return path.partition(holder)[2].partition(".")[2]
    return path


def _plain(norm: float) -> float | None:
    return norm if math.isfinite(norm) else None


def _show(norm: float | None) -> str:
    return "not finite" if norm is None else f"{norm:.4g}"


def describe_report(report: LoraReport) -> str:
    """Write the report as lines for a terminal."""
    version = f" ({report.base_version})" if report.base_version else ""
    norm = _show(report.norm) if report.finite else "NOT FINITE: some weights are NaN or infinite"
    lines = [
        f"{report.file}",
        f"  layout       {report.layout}" + (" (DoRA)" if report.dora else ""),
        f"  base model   {report.base_model or 'not said'}{version}",
        f"  rank         {_count(report.ranks)}",
        f"  alpha        {_count(report.alphas)}",
        f"  parameters   {report.parameters:,} in {report.layers} layers, {report.dtype}",
        f"  size         {report.size_bytes / BYTES_PER_MIB:.2f} MiB",
        f"  norm         {norm}",
        "",
        f"  {'module':<40} {'layers':>6} {'parameters':>11} {'mean norm':>10} {'max norm':>10}",
    ]
    for module in report.modules:
        name = f"{module.component}: {module.module}" if module.component else module.module
        counts = f"{module.layers:>6} {module.parameters:>11,}"
        norms = f"{_show(module.norm_mean):>10} {_show(module.norm_max):>10}"
        lines.append(f"  {name:<40} {counts} {norms}")
    shown = {key: value for key, value in sorted(report.metadata.items()) if key not in HIDDEN}
    if shown:
        lines += ["", *(f"  {key} = {_shorten(value)}" for key, value in shown.items())]
    return "\n".join(lines)


def _count(values: dict[Any, int]) -> str:
    if len(values) == 1:
        return f"{next(iter(values)):g}"
    return ", ".join(f"{value:g} ({layers} layers)" for value, layers in values.items())


def _shorten(value: str) -> str:
    return value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}… ({len(value)} characters)"
