"""Attention over rows laid end to end: each row sees itself, and the prefix that all rows of the batch share, only.

Nothing is spent on padding, and text that every row begins with (a system prompt, a template) is computed once.
"""

from dataclasses import dataclass
from typing import Any

import torch

from trainer.base_models.transformers_quiet import transformers
from trainer.kernels.choice import choose_row_attention
from trainer.kernels.even_sizes import count_missing
from trainer.kernels.row_bounds import RowBounds, attend_by_bounds, attend_uncompiled, find_bounds, has_varlen
from trainer.kernels.trial import passes_trial
from trainer.log import write_line
from trainer.machine.accelerator import describe_accelerator
from trainer.machine.transfer import bring

NAME = "lora_packed_rows"
DENSE_TOKENS = 1024  # up to here one call with a mask costs less than one call for each row
TRIAL_PREFIX, TRIAL_LENGTHS = 3, (5, 9, 2)


@dataclass(frozen=True)
class PackedRows:
    """How a packed batch lies: `prefix` shared tokens, then what is each row's own, `lengths` tokens each.

    `masks`: True where a query may look; one for the whole batch, else one for each row; None for plain causal.
    `bounds`: the same for an attention that takes all rows in one call, which then needs no masks.
    `wanted`: the places in the batch whose output carries loss, where it pays filled up by places without.
    """

    prefix: int
    lengths: tuple[int, ...]
    masks: tuple[torch.Tensor | None, ...]
    wanted: torch.Tensor
    bounds: RowBounds | None = None


def lay_out_rows(
    prefix: int, lengths: tuple[int, ...], learnt: torch.Tensor, device: torch.device, *, by_bounds: bool = False
) -> PackedRows:
    """Make the layout with its masks or bounds, once for a batch; every layer uses it.

    `learnt` [tokens], on the CPU: which carry loss.
    """
    masks: tuple[torch.Tensor | None, ...]
    if len(lengths) == 1:
        masks = (None,)
    elif by_bounds:
        masks = ()
    elif prefix + sum(lengths) <= DENSE_TOKENS:
        masks = (_mask_all(prefix, lengths, device),)
    else:
        masks = tuple(_mask_row(prefix, length, device) if prefix else None for length in lengths)
    wanted, others = (mark.nonzero().flatten() for mark in (learnt, ~learnt))
    filled = torch.cat([wanted, others[: count_missing(len(wanted), device)]])
    bounds = None if masks else find_bounds(prefix, lengths, device)
    return PackedRows(prefix, lengths, masks, bring(filled, device), bounds)


def _mask_all(prefix: int, lengths: tuple[int, ...], device: torch.device) -> torch.Tensor:
    sizes = torch.tensor((prefix, *lengths))
    row = torch.arange(len(sizes)).repeat_interleave(sizes)
    is_same_row, is_prefix = row[:, None] == row[None, :], row[None, :] == 0
    return bring(((is_same_row | is_prefix).tril())[None, None], device)


def _mask_row(prefix: int, length: int, device: torch.device) -> torch.Tensor:
    return torch.ones(length, prefix + length, dtype=torch.bool, device=device).tril(prefix)[None, None]


def attend(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **kwargs: Any) -> tuple[Any, None]:
    """Attend by rows: an attention function of transformers, which without `packed_rows` is its own `sdpa`.

    Shapes: query [1, heads, tokens, width]; returns [1, tokens, heads, width].
    """
    rows: PackedRows | None = kwargs.pop("packed_rows", None)
    sdpa = transformers.AttentionInterface._global_mapping["sdpa"]  # noqa: SLF001 - the only way to the plain one
    if rows is None:
        return sdpa(module, query, key, value, attention_mask, **kwargs)
    if rows.bounds is not None:
        return attend_uncompiled(query, key, value, rows.bounds, scale=kwargs.get("scaling")), None
    if len(rows.masks) == 1:
        return sdpa(module, query, key, value, rows.masks[0], **kwargs)
    sizes = [rows.prefix, *rows.lengths]
    (first_query, *queries), (first_key, *keys), (first_value, *values) = (
        states.split(sizes, dim=2) for states in (query, key, value)
    )
    attended = [sdpa(module, first_query, first_key, first_value, None, **kwargs)[0]] if rows.prefix else []
    for row_query, row_key, row_value, mask in zip(queries, keys, values, rows.masks, strict=True):
        seen_key = torch.cat([first_key, row_key], dim=2) if rows.prefix else row_key
        seen_value = torch.cat([first_value, row_value], dim=2) if rows.prefix else row_value
        attended.append(sdpa(module, row_query, seen_key, seen_value, mask, **kwargs)[0])
    return torch.cat(attended, dim=1), None


def use_packed_attention(model: Any, *, longest_row: int) -> bool:
    """Let the model attend by rows. Returns False, and changes nothing, where it cannot: it must take its attention
    from transformers' interface, and let every token of a row see all before it.
    """
    window = getattr(model.config, "sliding_window", None)
    is_windowed = window is not None and window < longest_row and getattr(model.config, "use_sliding_window", True)
    has_own_logits = getattr(model.config, "attn_logit_softcapping", None) is not None
    if not getattr(model, "_supports_attention_backend", False) or is_windowed or has_own_logits:
        return False
    if model.config._attn_implementation not in {"sdpa", NAME}:  # noqa: SLF001
        return False
    transformers.AttentionInterface.register(NAME, attend)
    transformers.AttentionMaskInterface.register(NAME, transformers.masking_utils.sdpa_mask)
    model.set_attn_implementation(NAME)
    return True


def find_row_kernel(model: Any, device: torch.device) -> bool:
    """Tell whether this model's rows attend by their bounds: in one call, where the device has the kernel for it."""
    network = model.config
    heads, key_heads = network.num_attention_heads, getattr(network, "num_key_value_heads", None)
    width = getattr(network, "head_dim", None) or network.hidden_size // heads
    at = describe_accelerator(device)
    choice = choose_row_attention(at, model.dtype, width, has_varlen=has_varlen())
    if choice.kernel == "rows":
        return False
    if device.type == "cuda":
        if not _agrees_with_rows(heads, key_heads or heads, width, model.dtype, device):
            return False
        write_line(f"attention: {choice.reason}")
    return True


def _agrees_with_rows(heads: int, key_heads: int, width: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Try attention by bounds, forward and backward, beside the same with a mask."""
    tokens = TRIAL_PREFIX + sum(TRIAL_LENGTHS)
    source = torch.Generator().manual_seed(0)
    shapes = [(1, count, tokens, width) for count in (heads, key_heads, key_heads)]
    query, key, value = (torch.randn(shape, generator=source).to(device, dtype).requires_grad_() for shape in shapes)
    towards = torch.randn(1, tokens, heads, width, generator=source).to(device, dtype)
    bounds, mask = find_bounds(TRIAL_PREFIX, TRIAL_LENGTHS, device), _mask_all(TRIAL_PREFIX, TRIAL_LENGTHS, device)

    def differentiate(attended: torch.Tensor) -> list[torch.Tensor]:
        return [attended, *torch.autograd.grad(attended, (query, key, value), towards)]

    def attend_with_mask() -> torch.Tensor:
        keys, values = (of.repeat_interleave(heads // key_heads, dim=1) for of in (key, value))
        attended = torch.nn.functional.scaled_dot_product_attention(query, keys, values, mask)
        return attended.transpose(1, 2)

    return passes_trial(
        "attention over all rows at once",
        lambda: differentiate(attend_by_bounds(query, key, value, bounds, scale=None)),
        lambda: differentiate(attend_with_mask()),
    )
