"""How the rows of a packed batch are laid beside each other, so that attention is a few products over all of them."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.nn.utils.rnn import pad_sequence

from trainer.kernels.cpu_layers.head_shape import HeadShape

NOBODY = -1  # in place of a token, where a row is filled up


@dataclass(frozen=True)
class DenseLayout:
    """Where each head of each token stands once for the batch, and once for the rows.

    A batch's tensor is [tokens · heads, width]. That of the rows is [places, width]: for each row and key head the
    `queries` places of the row times the group of heads that share the key; then, for each row and key head, its
    `keys` places of keys; then as many of values. What fills a row up is a copy of some token, which `is_token` tells.

    Every row sees the shared prefix, but the queries of the prefix stand once, in the row with the fewest own tokens.

    `spread`, `spread_queries`: from the batch (all its heads, or those of queries only) to the rows; `collect`,
    `collect_queries`: the way back, for a prefix from the first row. `hidden` [rows · key heads, queries · group,
    keys]: −∞ where a query must not look, else 0. `is_token` [rows · key heads, queries · group, 1]: 1 or 0.
    """

    rows: int
    prefix: int
    queries: int
    keys: int
    spread: torch.Tensor
    spread_queries: torch.Tensor
    collect: torch.Tensor
    collect_queries: torch.Tensor
    hidden: torch.Tensor
    is_token: torch.Tensor


@lru_cache(maxsize=2)  # every layer of a step asks for the same
def lay_out_beside(prefix: int, lengths: tuple[int, ...], shape: HeadShape) -> DenseLayout:
    """Lay the rows beside each other. `prefix` tokens of the batch are shared, then come each row's own, `lengths` of
    them.
    """
    tokens_of_queries, tokens_of_keys = _list_tokens(prefix, lengths)
    rows, queries = tokens_of_queries.shape
    keys = tokens_of_keys.shape[1]
    heads, key_heads, all_heads = shape.heads, shape.key_heads, shape.heads + 2 * shape.key_heads
    query_head = torch.arange(heads).view(1, key_heads, 1, shape.group)
    key_head = torch.arange(key_heads).view(1, key_heads, 1)
    of_queries, of_keys = tokens_of_queries.clamp(min=0)[:, None, :, None], tokens_of_keys.clamp(min=0)[:, None]
    spread_keys = (of_keys * all_heads + heads + key_head).flatten()

    collect_queries = _find_first(tokens_of_queries, torch.arange(rows * heads * queries), (key_heads, shape.group))
    collect_keys = _find_first(tokens_of_keys, torch.arange(rows * key_heads * keys), (key_heads, 1))
    of_key, of_value = (rows * heads * queries + number * rows * key_heads * keys + collect_keys for number in (0, 1))

    sees = torch.arange(keys) <= _find_positions(tokens_of_queries, prefix)[:, :, None]
    is_token = tokens_of_queries != NOBODY
    return DenseLayout(
        rows=rows,
        prefix=prefix,
        queries=queries,
        keys=keys,
        spread=torch.cat([(of_queries * all_heads + query_head).flatten(), spread_keys, spread_keys + key_heads]),
        spread_queries=(of_queries * heads + query_head).flatten(),
        collect=torch.cat([collect_queries, of_key, of_value], dim=1).flatten(),
        collect_queries=collect_queries.flatten(),
        hidden=_give_to_heads(torch.zeros(sees.shape).masked_fill_(~sees, -torch.inf), shape),
        is_token=_give_to_heads(is_token[:, :, None].float(), shape),
    )


def _list_tokens(prefix: int, lengths: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """List the tokens of the batch whose queries and whose keys stand in each row, filled up with NOBODY."""
    head, own = torch.arange(prefix), torch.arange(prefix, prefix + sum(lengths)).split(lengths)
    shortest = lengths.index(min(lengths))
    with_head = [torch.cat([head, row]) for row in own]
    with_queries = [with_head[number] if number == shortest else row for number, row in enumerate(own)]
    queries, keys = (pad_sequence(rows, batch_first=True, padding_value=NOBODY) for rows in (with_queries, with_head))
    return queries, keys


def _find_first(tokens: torch.Tensor, places: torch.Tensor, heads: tuple[int, int]) -> torch.Tensor:
    """Find the place of each token's heads, [tokens, heads], in the first row it stands in. `tokens` [rows, length]."""
    rows, length = tokens.shape
    by_token = places.view(rows, heads[0], length, heads[1]).transpose(1, 2).reshape(rows * length, -1)
    first = torch.empty(int(tokens.max()) + 1, by_token.shape[1], dtype=torch.long)
    for row, its_places in zip(tokens.flip(0), by_token.view(rows, length, -1).flip(0), strict=True):
        first[row[row != NOBODY]] = its_places[row != NOBODY]
    return first


def _find_positions(tokens: torch.Tensor, prefix: int) -> torch.Tensor:
    """Find the position of each query in its row, [rows, queries]: a row begins with the prefix, or stands after it."""
    has_prefix = tokens[:, :1] < prefix
    return torch.arange(tokens.shape[1]) + torch.where(has_prefix, 0, prefix)


def _give_to_heads(of_queries: torch.Tensor, shape: HeadShape) -> torch.Tensor:
    """Repeat [rows, queries, anything] for every head: [rows · key heads, queries · group, anything]."""
    return of_queries.repeat_interleave(shape.key_heads, dim=0).repeat_interleave(shape.group, dim=1)
