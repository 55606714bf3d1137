"""A base in NF4: loss and gradient against the same numbers, unpacked, in fp32 on the CPU."""

from typing import Any

import torch

from benchmarks.gpu.correct_text import CPU, ODD, make_row_sets
from benchmarks.gpu.figures import RowResult
from benchmarks.gpu.nearness import differentiate, judge, set_adapter
from benchmarks.gpu.text_models import SMALL, OurText, TextJob, build_model, make_config, make_network
from benchmarks.gpu.where import Place


def measure(place: Place) -> RowResult:
    import bitsandbytes  # noqa: F401, PLC0415 - an optional extra: without it the row is left out, and says so

    rows = make_row_sets(place)["long"]
    network = make_network(SMALL | ODD)
    job = TextJob("NF4", "NF4", SMALL, tuple(len(row.token_ids) for row in rows))
    packed = build_model(CPU, network, torch.float32)
    unpacked = pack_to_4_bit(packed, place)
    packed = packed.to(place.device, place.dtype)
    here, there = (
        OurText(at, model, make_config(at, job, precision="fp32")) for at, model in ((place, packed), (CPU, unpacked))
    )
    for side in (here, there):
        set_adapter(side.family)
    found, expected = (differentiate(side.family, side.family.collate(rows)) for side in (here, there))
    return RowResult("NF4", judge("LLaMA in NF4", found, expected, place.dtype))


def pack_to_4_bit(model: Any, place: Place) -> Any:
    """Pack every linear layer but the output layer, in place; returns a copy with the packed numbers unpacked."""
    import copy  # noqa: PLC0415

    import bitsandbytes  # noqa: PLC0415 - an optional extra

    unpacked, head = copy.deepcopy(model), model.get_output_embeddings()
    for name, layer in list(model.named_modules()):
        if not isinstance(layer, torch.nn.Linear) or layer is head:
            continue
        packed = bitsandbytes.nn.Linear4bit(
            layer.in_features, layer.out_features, bias=False, compute_dtype=place.dtype, quant_type="nf4"
        )
        packed.weight = bitsandbytes.nn.Params4bit(layer.weight.data.clone(), requires_grad=False, quant_type="nf4")
        packed = packed.to(place.device)
        owner, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(owner), leaf, packed)
        numbers = bitsandbytes.functional.dequantize_4bit(packed.weight.data, packed.weight.quant_state)
        unpacked.get_submodule(name).weight.data = numbers.float().cpu()
    return unpacked
