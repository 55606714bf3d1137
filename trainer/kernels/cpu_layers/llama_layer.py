"""Replaces the layers of a loaded LLaMA-like model by ones that do the same with fewer passes over memory.

Whether a layer is LLaMA-like is told by its parts and by its output, not by the model's name: LLaMA, Mistral, Qwen2 and
SmolLM are. Any other model, and any other way of calling the layer (generation, padded rows), stays with transformers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from trainer.base_models.transformers_quiet import peft, transformers
from trainer.kernels.cpu_layers.adapted_attention import AdaptedAttention
from trainer.kernels.cpu_layers.adapted_linear import AdaptedLinear
from trainer.kernels.cpu_layers.adapted_mlp import AdaptedMLP
from trainer.kernels.cpu_layers.frozen_norm import FrozenNorm
from trainer.kernels.cpu_layers.head_shape import HeadShape
from trainer.kernels.cpu_layers.llama_stack import LlamaLayer, LlamaStack
from trainer.kernels.cpu_layers.rotation import Rotation
from trainer.kernels.packed_attention import PackedRows, lay_out_rows

CPU = torch.device("cpu")
DECODER_PARTS = ("embed_tokens", "rotary_emb", "norm")
LAYER_PARTS = {"input_layernorm", "self_attn", "post_attention_layernorm", "mlp"}
ATTENTION_PARTS = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP_PARTS = ("gate_proj", "up_proj", "down_proj")
PROBE_PREFIX, PROBE_LENGTHS = 2, (3, 4)
TOLERANCE = 1e-4  # of the largest output; another formula is off by far more, fp32 by far less


def use_llama_layers(model: Any) -> bool:
    """Let packed batches go through our own layers. Returns False, and changes nothing, where one of them does not fit.

    The model has its adapter already, in plain LoRA; its frozen weights are fp32 on a CPU.
    """
    decoder = model.get_base_model().get_decoder()
    layers = list(getattr(decoder, "layers", ()))
    if not layers or not all(hasattr(decoder, part) for part in DECODER_PARTS) or not all(map(_is_llama_like, layers)):
        return False
    _leave_file(model)
    stack = LlamaStack(tuple(_build(layer, is_last=layer is layers[-1]) for layer in layers))
    if not _computes_the_same(decoder, stack):
        return False
    decoder.forward = _choose_by_call(decoder, stack)
    return True


def _leave_file(model: Any) -> None:
    """Copy the frozen weights out of the file that they are mapped from: it would stay in memory beside the joined."""
    for parameter in model.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.clone()


def _choose_by_call(decoder: Any, stack: LlamaStack) -> Any:
    stock = decoder.forward

    def forward(*arguments: Any, **named: Any) -> Any:
        if named.get("packed_rows") is None or decoder.layers[0].gradient_checkpointing:
            return stock(*arguments, **named)
        return _run(decoder, stack, named["input_ids"], named["position_ids"], named["packed_rows"])

    return forward


def _run(decoder: Any, stack: LlamaStack, input_ids: torch.Tensor, position_ids: torch.Tensor, rows: PackedRows) -> Any:
    """Run the stack in place of the decoder.

    Shapes: [1, tokens] → last hidden state [1, tokens, width], of the places with loss.
    """
    states = decoder.embed_tokens(input_ids)
    (cosine,), (sine,) = decoder.rotary_emb(states, position_ids=position_ids)
    hidden = stack(states[0], Rotation.by_angles(cosine, sine), rows, drops=decoder.training)
    return transformers.modeling_outputs.BaseModelOutputWithPast(last_hidden_state=decoder.norm(hidden[None]))


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
    """Tell whether this is a frozen linear layer in fp32 on the CPU, bare or under one plain LoRA."""
    base = linear
    if isinstance(linear, peft.tuners.lora.LoraLayer):
        base = linear.base_layer
        if type(linear) is not peft.tuners.lora.Linear or len(linear.lora_A) != 1 or linear.lora_variant:
            return False
        if any(type(dropout) not in {torch.nn.Identity, torch.nn.Dropout} for dropout in linear.lora_dropout.values()):
            return False
        if any(matrix.bias is not None for matrix in (*linear.lora_A.values(), *linear.lora_B.values())):
            return False
    weight = base.weight if type(base) is torch.nn.Linear else None
    return weight is not None and weight.dtype is torch.float32 and weight.device.type == "cpu"


def _build(layer: Any, *, is_last: bool) -> LlamaLayer:
    attention, width = layer.self_attn, layer.self_attn.head_dim
    *entry, output = linears = _pick(attention, ATTENTION_PARTS)
    mlp_linears = _pick(layer.mlp, MLP_PARTS)
    heads, key_heads = (linear.out_features // width for linear in entry[:2])
    shape = HeadShape(heads, key_heads, width, attention.scaling)
    return LlamaLayer(
        AdaptedAttention(_take_norm(layer.input_layernorm), _join(entry), _join([output]), shape, is_last),
        _list_lora(linears),
        AdaptedMLP(_take_norm(layer.post_attention_layernorm), *(_join([linear]) for linear in mlp_linears)),
        _list_lora(mlp_linears),
    )


def _pick(parent: Any, names: Sequence[str]) -> list[Any]:
    return [getattr(parent, name) for name in names]


def _take_norm(norm: Any) -> FrozenNorm:
    return FrozenNorm(norm.weight.detach(), torch.tensor(norm.variance_epsilon))


def _join(linears: Sequence[Any]) -> AdaptedLinear:
    """Join several layers of one input. They keep their weights as views of the joined one: nothing is held twice."""
    bases = [getattr(linear, "base_layer", linear) for linear in linears]
    weight, biases = _share([base.weight for base in bases]), [base.bias for base in bases]
    widths = [base.out_features for base in bases]
    bias = None
    if any(one is not None for one in biases):
        known = zip(biases, widths, strict=True)
        bias = torch.cat([weight.new_zeros(width) if one is None else one.detach() for one, width in known])
    ranks = (0 if down is None else len(down) for down, _ in map(_take_lora, linears))
    scales, dropout = tuple(map(_find_scale, linears)), max(map(_find_dropout, linears))
    return AdaptedLinear(weight, bias, tuple(widths), tuple(ranks), scales, dropout)


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


def _find_dropout(linear: Any) -> float:
    """Find the dropout, the same for every layer of an adapter; 0 for a layer without."""
    return max((getattr(dropout, "p", 0.0) for dropout in getattr(linear, "lora_dropout", {}).values()), default=0.0)


def _list_lora(linears: Sequence[Any]) -> list[torch.Tensor | None]:
    return [matrix for linear in linears for matrix in _take_lora(linear)]


def _take_lora(linear: Any) -> tuple[torch.Tensor, torch.Tensor] | tuple[None, None]:
    if not isinstance(linear, peft.tuners.lora.LoraLayer):
        return None, None
    [down], [up] = linear.lora_A.values(), linear.lora_B.values()
    return down.weight, up.weight


@torch.no_grad()
def _computes_the_same(decoder: Any, stack: LlamaStack) -> bool:
    """Check on a few random tokens that the formula is the model's own. Draws from no generator but its own."""
    lengths = (PROBE_PREFIX, *(PROBE_PREFIX + length for length in PROBE_LENGTHS))
    positions = torch.cat([torch.arange(PROBE_PREFIX), *(torch.arange(PROBE_PREFIX, n) for n in lengths[1:])])[None]
    rows = lay_out_rows(PROBE_PREFIX, PROBE_LENGTHS, torch.ones(positions.shape[1], dtype=torch.bool), CPU)
    vocabulary, generator = decoder.embed_tokens.num_embeddings, torch.Generator().manual_seed(0)
    input_ids = torch.randint(vocabulary, positions.shape, generator=generator)
    batch = {"input_ids": input_ids, "position_ids": positions, "packed_rows": rows}
    ready = positions.new_empty(1, 1, 0, 0)  # "a mask is made already"
    with _without_dropout(decoder):
        expected = decoder(**batch, attention_mask=ready, use_cache=False).last_hidden_state
        ours = _run(decoder, stack, input_ids, positions, rows).last_hidden_state
    rotation = decoder.rotary_emb(expected, position_ids=positions)
    halves_agree = all(torch.equal(*part.chunk(2, dim=-1)) for part in rotation)  # else turning back is another formula
    if not halves_agree:
        return False
    error = (ours - expected).abs().max()
    return bool(error <= TOLERANCE * expected.abs().max())


@contextmanager
def _without_dropout(decoder: Any) -> Iterator[None]:
    """Switch the decoder to evaluation; afterwards each module is as it was."""
    before = [(module, module.training) for module in decoder.modules()]
    decoder.eval()
    try:
        yield
    finally:
        for module, is_training in before:
            module.training = is_training
