"""Replaces the layers of a loaded LLaMA-like model by ones that do the same with fewer passes over memory.

Whether a layer is LLaMA-like is told by its parts and by its output, not by the model's name: LLaMA, Mistral, Qwen2 and
SmolLM are. Any other model, and any other way of calling the layer (generation, padded rows), stays with transformers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trainer.families.adapted_attention import AdaptedAttention, Rotation
from trainer.families.adapted_linear import AdaptedLinear, Lora, place_adapters
from trainer.families.adapted_mlp import AdaptedMLP
from trainer.families.frozen_norm import FrozenNorm
from trainer.families.head_shape import HeadShape
from trainer.families.packed_attention import PackedRows, lay_out_rows
from trainer.families.transformers_quiet import peft

LAYER_PARTS = {"input_layernorm", "self_attn", "post_attention_layernorm", "mlp"}
ATTENTION_PARTS = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP_PARTS = ("gate_proj", "up_proj", "down_proj")
PROBE_PREFIX, PROBE_LENGTHS = 2, (3, 4)
TOLERANCE = 1e-4  # of the largest output; another formula is off by far more, fp32 by far less


@dataclass(frozen=True)
class LlamaLayer:
    """The two halves of a layer, each with the adapter matrices of its linear layers.

    After the last layer only the places with loss are looked at: its MLP computes no others.
    """

    attention: AdaptedAttention
    attention_lora: Lora
    mlp: AdaptedMLP
    mlp_lora: Lora
    is_last: bool

    def __call__(self, hidden: torch.Tensor, rotation: Rotation, rows: PackedRows) -> torch.Tensor:
        """Shapes: hidden [1, tokens, width], cosine and sine [1, tokens, width of a head] → [1, tokens, width]."""
        (cosine,), (sine,) = rotation
        middle = self.attention(hidden[0], (cosine, sine), rows, *self.attention_lora)
        if not self.is_last:
            return self.mlp(middle, *self.mlp_lora)[None]
        looked_at = self.mlp(middle.index_select(0, rows.learnt), *self.mlp_lora)
        return torch.zeros_like(middle).index_copy(0, rows.learnt, looked_at)[None]


def use_llama_layers(model: Any) -> bool:
    """Let packed batches go through our own layers. Returns False, and changes nothing, where one of them does not fit.

    The model has its adapter already, in plain LoRA without dropout; its frozen weights are fp32 on a CPU.
    """
    decoder = model.get_base_model().get_decoder()
    layers = list(getattr(decoder, "layers", ()))
    if not layers or not hasattr(decoder, "rotary_emb") or not all(map(_is_llama_like, layers)):
        return False
    _leave_file(model)
    ours = [_build(layer, is_last=layer is layers[-1]) for layer in layers]
    if not all(_computes_the_same(decoder, layer, own) for layer, own in zip(layers, ours, strict=True)):
        return False
    for layer, own in zip(layers, ours, strict=True):
        layer.forward = _choose_by_call(layer, own)
    return True


def _leave_file(model: Any) -> None:
    """Copy the frozen weights out of the file that they are mapped from: it would stay in memory beside the joined."""
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.clone()


def _choose_by_call(layer: Any, own: LlamaLayer) -> Any:
    stock = layer.forward

    def forward(hidden_states: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        rows = named.get("packed_rows")
        if rows is None or layer.gradient_checkpointing:
            out: torch.Tensor = stock(hidden_states, *arguments, **named)
            return out
        return own(hidden_states, named["position_embeddings"], rows)

    return forward


def _is_llama_like(layer: Any) -> bool:
    if {name for name, _ in layer.named_children()} != LAYER_PARTS:
        return False
    attention, norms = layer.self_attn, (layer.input_layernorm, layer.post_attention_layernorm)
    return (
        {name for name, _ in attention.named_children()} == {*ATTENTION_PARTS}
        and {name for name, _ in layer.mlp.named_children()} == {*MLP_PARTS, "act_fn"}
        and all([*dict(norm.named_parameters())] == ["weight"] and hasattr(norm, "variance_epsilon") for norm in norms)
        and getattr(attention, "attention_dropout", 0) == 0
        and all(map(_is_plain, (*_pick(attention, ATTENTION_PARTS), *_pick(layer.mlp, MLP_PARTS))))
    )


def _is_plain(linear: Any) -> bool:
    """A frozen linear layer in fp32 on the CPU, bare or under one plain LoRA."""
    base = linear
    if isinstance(linear, peft.tuners.lora.LoraLayer):
        base = linear.base_layer
        if type(linear) is not peft.tuners.lora.Linear or len(linear.lora_A) != 1 or linear.lora_variant:
            return False
        if any(type(dropout) is not torch.nn.Identity for dropout in linear.lora_dropout.values()):
            return False
        if any(matrix.bias is not None for matrix in (*linear.lora_A.values(), *linear.lora_B.values())):
            return False
    weight = base.weight if type(base) is torch.nn.Linear else None
    return weight is not None and weight.dtype is torch.float32 and weight.device.type == "cpu"


def _build(layer: Any, *, is_last: bool) -> LlamaLayer:
    attention, width = layer.self_attn, layer.self_attn.head_dim
    *entry, output = linears = _pick(attention, ATTENTION_PARTS)
    *opening, down = mlp_linears = _pick(layer.mlp, MLP_PARTS)
    heads, key_heads = (linear.out_features // width for linear in entry[:2])
    shape = HeadShape(heads, key_heads, width, attention.scaling)
    return LlamaLayer(
        AdaptedAttention(_take_norm(layer.input_layernorm), _join(entry), _join([output]), shape),
        _list_lora(linears),
        AdaptedMLP(_take_norm(layer.post_attention_layernorm), _join(opening), _join([down])),
        _list_lora(mlp_linears),
        is_last,
    )


def _pick(parent: Any, names: Sequence[str]) -> list[Any]:
    return [getattr(parent, name) for name in names]


def _take_norm(norm: Any) -> FrozenNorm:
    return FrozenNorm(norm.weight.detach(), norm.variance_epsilon)


def _join(linears: Sequence[Any]) -> AdaptedLinear:
    """Several layers of one input as one. They keep their weights as views of the joined one: nothing is held twice."""
    bases = [getattr(linear, "base_layer", linear) for linear in linears]
    weight, biases = _share([base.weight for base in bases]), [base.bias for base in bases]
    widths = [base.out_features for base in bases]
    bias = None
    if any(one is not None for one in biases):
        known = zip(biases, widths, strict=True)
        bias = torch.cat([weight.new_zeros(width) if one is None else one.detach() for one, width in known])
    ranks = [0 if down is None else len(down) for down, _ in map(_take_lora, linears)]
    return AdaptedLinear(weight, bias, place_adapters(widths, ranks, [*map(_find_scale, linears)]))


def _share(parameters: Sequence[torch.nn.Parameter]) -> torch.Tensor:
    if len(parameters) == 1:
        return parameters[0].detach()
    joined = torch.cat([parameter.detach() for parameter in parameters])
    for parameter, part in zip(parameters, joined.split([len(parameter) for parameter in parameters]), strict=True):
        parameter.data = part
    return joined


def _find_scale(linear: Any) -> float:
    [scale] = getattr(linear, "scaling", {"no adapter": 1.0}).values()
    return float(scale)


def _list_lora(linears: Sequence[Any]) -> list[torch.Tensor | None]:
    return [matrix for linear in linears for matrix in _take_lora(linear)]


def _take_lora(linear: Any) -> tuple[torch.Tensor, torch.Tensor] | tuple[None, None]:
    if not isinstance(linear, peft.tuners.lora.LoraLayer):
        return None, None
    [down], [up] = linear.lora_A.values(), linear.lora_B.values()
    return down.weight, up.weight


@torch.no_grad()
def _computes_the_same(decoder: Any, layer: Any, own: LlamaLayer) -> bool:
    """Looks, on a few random tokens, whether the formula is the layer's own. Draws from no generator but its own."""
    positions = torch.cat([torch.arange(PROBE_PREFIX), *(PROBE_PREFIX + torch.arange(n) for n in PROBE_LENGTHS)])[None]
    tokens, width = positions.shape[1], layer.input_layernorm.weight.shape[0]
    rows = lay_out_rows(PROBE_PREFIX, PROBE_LENGTHS, torch.ones(tokens, dtype=torch.bool), torch.device("cpu"))
    hidden = torch.randn(1, tokens, width, generator=torch.Generator().manual_seed(0))
    rotation = decoder.rotary_emb(hidden, position_ids=positions)
    ready = positions.new_empty(1, 1, 0, 0)
    named = {"attention_mask": ready, "position_ids": positions, "position_embeddings": rotation, "packed_rows": rows}
    expected = layer(hidden, **named)
    halves_agree = all(torch.equal(*part.chunk(2, dim=-1)) for part in rotation)  # else turning back is another formula
    error = (own(hidden, rotation, rows) - expected).abs().max()
    return halves_agree and bool(error <= TOLERANCE * expected.abs().max())
