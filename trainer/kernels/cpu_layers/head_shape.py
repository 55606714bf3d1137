"""How the outputs of an attention block's projections are cut into heads."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HeadShape:
    """Heads of queries, heads of keys and of values (each serves several queries), and the width of one head.

    Queries, keys and values lie side by side, in this order, in one tensor of `columns`.
    """

    heads: int
    key_heads: int
    width: int
    scaling: float

    @property
    def group(self) -> int:
        """Queries that one key serves."""
        return self.heads // self.key_heads

    @property
    def rotated(self) -> int:
        """Columns of queries and keys."""
        return (self.heads + self.key_heads) * self.width

    @property
    def columns(self) -> int:
        return self.rotated + self.key_heads * self.width
