"""Attention over all rows of a packed batch in one call, by where each row begins and ends.

The shared prefix is a row of its own; each other row's keys are the prefix's and its own. Flash attention lines up the
last query with the last key where a row has fewer queries than keys, which is what a row behind its prefix needs.
"""

import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

import torch

from trainer.machine.transfer import bring

Varlen = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class RowBounds:
    """Bounds of queries and of keys [rows + 1], and where each key stands in the batch; None where they are the same.

    `own` [tokens] are the places among the gathered keys of each token's own; `copies` [rows · prefix] those of the
    prefix in the other rows.
    """

    queries: torch.Tensor
    keys: torch.Tensor
    longest_queries: int
    longest_keys: int
    prefix: int
    gathered: torch.Tensor | None = None
    own: torch.Tensor | None = None
    copies: torch.Tensor | None = None


def has_varlen() -> bool:
    return importlib.util.find_spec("torch.nn.attention.varlen") is not None


def find_bounds(prefix: int, lengths: tuple[int, ...], device: torch.device) -> RowBounds:
    """Find the bounds of a batch's rows, once for all layers; nothing here waits for the device."""
    queries = [prefix, *lengths] if prefix else list(lengths)
    keys = [prefix, *(prefix + length for length in lengths)] if prefix else queries
    bounds = RowBounds(_add_up(queries, device), _add_up(keys, device), max(queries), max(keys), prefix)
    if not prefix:
        return bounds
    shared, start, places = torch.arange(prefix), prefix, [torch.arange(prefix)]
    own, copies, first = [torch.arange(prefix)], [], prefix
    for length in lengths:
        places += [shared, torch.arange(start, start + length)]
        copies.append(first + shared)
        own.append(torch.arange(first + prefix, first + prefix + length))
        start, first = start + length, first + prefix + length
    found = {"gathered": places, "own": own, "copies": copies}
    return RowBounds(
        bounds.queries,
        bounds.keys,
        bounds.longest_queries,
        bounds.longest_keys,
        prefix,
        **{name: bring(torch.cat(parts), device) for name, parts in found.items()},
    )


def _add_up(lengths: list[int], device: torch.device) -> torch.Tensor:
    return bring(torch.tensor([0, *accumulate(lengths)], dtype=torch.int32), device)


def attend_by_bounds(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: RowBounds, *, scale: float | None
) -> torch.Tensor:
    """Attend, causally within each row.

    Shapes: query [1, heads, tokens, width], key and value likewise, with as many heads or fewer; returns
    [1, tokens, heads, width].
    """
    queries, keys, values = (states[0].transpose(0, 1) for states in (query, key, value))
    if bounds.gathered is not None:
        keys, values = (_KeysOfRows.apply(states, bounds) for states in (keys, values))
    attended = _load_varlen(query.shape[1] != key.shape[1])(
        queries, keys, values, bounds.queries, bounds.keys, bounds.longest_queries, bounds.longest_keys, scale=scale
    )
    return attended[None]


# A compiler would take each batch's longest row for a shape of its own, and compile anew.
attend_uncompiled = torch.compiler.disable(attend_by_bounds)


class _KeysOfRows(torch.autograd.Function):
    """Lays out the keys of each row, the prefix's before its own.

    The way back adds up the prefix's copies in one order always: adding by index is not exact on a GPU.
    """

    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, bounds: RowBounds) -> torch.Tensor:
        ctx.bounds = bounds
        assert bounds.gathered is not None
        return states.index_select(0, bounds.gathered)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        [gradient], bounds = gradients, ctx.bounds
        into = gradient.index_select(0, bounds.own)
        of_copies = gradient.index_select(0, bounds.copies)
        copies = of_copies.unflatten(0, (-1, bounds.prefix)).sum(0, dtype=torch.float32)
        into[: bounds.prefix] += copies.to(into.dtype)
        return into, None


@cache
def _load_varlen(is_grouped: bool) -> Varlen:
    """Load torch's attention; its releases differ in whether groups of heads are asked for."""
    from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 - torch 2.10 and later have it

    has_groups = is_grouped and "enable_gqa" in inspect.signature(varlen_attn).parameters
    asked: dict[str, Any] = {"enable_gqa": True} if has_groups else {}

    def attend(*arguments: Any, scale: float | None) -> torch.Tensor:
        attended = varlen_attn(*arguments, scale=scale, window_size=(-1, 0), **asked)
        assert isinstance(attended, torch.Tensor), "nothing besides was asked for"
        return attended

    return attend
