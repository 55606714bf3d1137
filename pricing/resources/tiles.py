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


def compute_utilization(rows: float, widths: Widths, multiprocessors: int) -> float:
    """Compute the share of a card's peak that products of so many rows can reach, by waves and tiles alone."""
    place = POINTS_PER_DOUBLING * (math.log2(rows) if rows > 1 else 0.0)
    place = min(place, LAST_POINT)
    below = int(place)
    lower, upper = _look_up(below, widths, multiprocessors)
    return lower + (place - below) * (upper - lower)


@lru_cache(maxsize=8192)  # some twenty kinds of card, a few sizes for each base model
def _look_up(below: int, widths: Widths, multiprocessors: int) -> tuple[float, float]:
    """Look up the utilization at a point and at the next."""
    lower, upper = (round(2 ** (point / POINTS_PER_DOUBLING)) for point in (below, below + 1))
    return _average(lower, widths, multiprocessors), _average(upper, widths, multiprocessors)


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
