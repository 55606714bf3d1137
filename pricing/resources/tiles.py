"""How busy matrix products keep a card: their output is cut into tiles, which its multiprocessors take in waves. Pure.

A wave that is not full takes as long as a full one, and a tile that sticks out as long as a whole one. So small
products, and those that fill one wave and a little, reach less of the peak than large ones.
Source: NVIDIA, "Matrix Multiplication Background User's Guide", on tile and wave quantization; Lee et al. 2025,
"NeuSight", which reads a kernel's tile from a table.
"""

import itertools
import math
from functools import lru_cache
from typing import NamedTuple

# Of the columns that products have, the share of the FLOPs that goes into products so wide.
Widths = tuple[tuple[int, float], ...]


class Tile(NamedTuple):
    """A part of the output that one multiprocessor works on. `share`: what it reaches of what the largest reach."""

    rows: int
    columns: int
    share: float


# The tiles of cuBLAS. A small one reads more for each product that it makes: its share falls with rows and columns.
TILES = (
    Tile(256, 128, 1.0),
    Tile(128, 256, 1.0),
    Tile(128, 128, 0.95),
    Tile(128, 64, 0.85),
    Tile(64, 128, 0.85),
    Tile(64, 64, 0.7),
    Tile(32, 128, 0.5),
    Tile(32, 64, 0.4),
)
# A product of few tiles is also cut along what it sums over; the parts are added up afterwards, and so much is kept of
# what it reaches.
SPLITS = ((1, 1.0), (2, 0.95), (4, 0.9))
# Utilization is kept for so many numbers of rows between one power of two and the next, and taken between them.
POINTS_PER_DOUBLING = 4
MOST_DOUBLINGS = 17
LAST_POINT = POINTS_PER_DOUBLING * MOST_DOUBLINGS


class Products(NamedTuple):
    """The matrix products of a pass, `part` of the way from one point that utilization is kept for to the next."""

    kept: "KeptPoints"
    part: float

    @classmethod
    def of(cls, rows: float, widths: Widths) -> "Products":
        """Describe the products that have so many rows and these columns."""
        place = POINTS_PER_DOUBLING * (math.log2(rows) if rows > 1 else 0.0)
        place = min(place, LAST_POINT)
        below = int(place)
        return cls(_get_points(below, widths), place - below)

    def compute_utilization(self, multiprocessors: int) -> float:
        """Compute the share of a card's peak that they can reach, by waves and tiles alone."""
        lower, upper = self.kept.look_up(multiprocessors)
        return lower + self.part * (upper - lower)


class KeptPoints:
    """The utilization of products at a point and at the next, kept by how many multiprocessors a card has."""

    def __init__(self, below: int, widths: Widths) -> None:
        self._rows = [round(2 ** (point / POINTS_PER_DOUBLING)) for point in (below, below + 1)]
        self._widths = widths
        self._by_card: dict[int, tuple[float, float]] = {}

    def look_up(self, multiprocessors: int) -> tuple[float, float]:
        found = self._by_card.get(multiprocessors)
        if found is None:
            lower, upper = (_average(rows, self._widths, multiprocessors) for rows in self._rows)
            found = self._by_card[multiprocessors] = (lower, upper)
        return found


@lru_cache(maxsize=1024)  # a few sizes for each base model; some twenty kinds of card at each
def _get_points(below: int, widths: Widths) -> KeptPoints:
    return KeptPoints(below, widths)


def _average(rows: int, widths: Widths, multiprocessors: int) -> float:
    """Average the utilization over the products of a model, by the time that each takes."""
    return 1 / sum(share / _find_best(rows, columns, multiprocessors) for columns, share in widths)


def _find_best(rows: int, columns: int, multiprocessors: int) -> float:
    """Find the utilization of the tile and the split that suit a product best."""
    ways = itertools.product(TILES, SPLITS)
    return max(kept * tile.share * _fill(rows, columns, tile, multiprocessors, parts) for tile, (parts, kept) in ways)


def _fill(rows: int, columns: int, tile: Tile, multiprocessors: int, parts: int) -> float:
    """Compute the share of the tiles of all waves that is output."""
    tiles = parts * math.ceil(rows / tile.rows) * math.ceil(columns / tile.columns)
    waves = math.ceil(tiles / multiprocessors)
    return parts * rows * columns / (waves * multiprocessors * tile.rows * tile.columns)
