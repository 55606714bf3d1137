"""Attention over rows laid end to end: each row sees itself, and the prefix that all rows of the batch share, only.

Nothing is spent on padding, and text that every row begins with (a system prompt, a template) is computed once.
"""

from dataclasses import dataclass
from typing import Any

import torch

from trainer.base_models.transformers_quiet import transformers
from trainer.kernels.even_sizes import count_missing

NAME = "lora_packed_rows"
DENSE_TOKENS = 1024  # up to here one call with a mask costs less than one call for each row


@dataclass(frozen=True)
class PackedRows:
    """How a packed batch lies: `prefix` shared tokens, then what is each row's own, `lengths` tokens each.

    `masks`: True where a query may look; one for the whole batch, else one for each row; None for plain causal.
    `wanted`: the places in the batch whose output carries loss, where it pays filled up by places without.
    """

    prefix: int
    lengths: tuple[int, ...]
    masks: tuple[torch.Tensor | None, ...]
    wanted: torch.Tensor


def lay_out_rows(prefix: int, lengths: tuple[int, ...], learnt: torch.Tensor, device: torch.device) -> PackedRows:
    """Make the layout with its masks, once for a batch; every layer uses it. `learnt` [tokens]: which carry loss."""
    masks: tuple[torch.Tensor | None, ...]
    if len(lengths) == 1:
        masks = (None,)
    elif prefix + sum(lengths) <= DENSE_TOKENS:
        masks = (_mask_all(prefix, lengths, device),)
    else:
        masks = tuple(_mask_row(prefix, length, device) if prefix else None for length in lengths)
    wanted, others = (mark.nonzero().flatten() for mark in (learnt, ~learnt))
    filled = torch.cat([wanted, others[: count_missing(len(wanted))]])
    return PackedRows(prefix, lengths, masks, filled.to(device))


def _mask_all(prefix: int, lengths: tuple[int, ...], device: torch.device) -> torch.Tensor:
    sizes = torch.tensor((prefix, *lengths))
    row = torch.arange(len(sizes)).repeat_interleave(sizes)
    is_same_row, is_prefix = row[:, None] == row[None, :], row[None, :] == 0
    mask: torch.Tensor = ((is_same_row | is_prefix).tril())[None, None].to(device)
    return mask


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
