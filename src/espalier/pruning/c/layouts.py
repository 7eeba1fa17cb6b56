"""Matrices in the layout that pays: dense, tiles, or CSR, chosen by what a product with a vector was measured to take."""

from dataclasses import dataclass

import numpy as np

from espalier.errors import InputError

#: Rows and columns of a tile of each layout; `dense` holds all of them, of `csr` they are single weights.
TILES = {"dense": (8, 4), "tiles_8x4": (8, 4), "tiles_4x4": (4, 4), "tiles_1x8": (1, 8), "csr": (1, 1)}
#: What a product takes, in units of a tile of `dense`: per tile, and per group of rows (of `dense` none beside its tiles).
#: Measured by `benchmarks/c_export.py --model` for sizes from 32 to 256, of weights in single precision and in int8.
COSTS = {
    None: {
        "dense": (1.0, 0.0), "tiles_8x4": (1.05, 1.8), "tiles_4x4": (0.97, 1.4), "tiles_1x8": (0.46, 0.9), "csr": (0.28, 0.7),
    },
    "int8": {
        "dense": (1.0, 0.0), "tiles_8x4": (0.98, 1.0), "tiles_4x4": (0.98, 0.6), "tiles_1x8": (1.75, 0.8), "csr": (0.25, 0.6),
    },
}  # fmt: skip
#: A product that takes up to so many times as long counts as equally fast.
HARDLY = 1.1
#: Numbers of vectors are this long: every group of rows, and every vector that a matrix reads, is filled up with zeros.
LANES = 8
#: Places of tiles are told in 16 bits.
MOST_PLACES = 2**16


def padded(width):
    """A width, filled up to whole vectors."""
    return -(-width // LANES) * LANES


@dataclass
class Laid:
    """A matrix in a layout: values, flat; of tiles and CSR also `starts`, per group of rows where its tiles begin, and
    `places`, the column of each in tiles.  scale: of int8 what a step of each row is worth.
    """

    layout: str
    rows: int
    columns: int
    values: np.ndarray
    starts: np.ndarray | None = None
    places: np.ndarray | None = None
    scale: np.ndarray | None = None


def widened(matrix, gates=1):
    """A matrix with the rows of every gate, and its columns, filled up with zeros to whole vectors."""
    rows, columns = matrix.shape[0] // gates, matrix.shape[1]
    found = np.zeros((gates, padded(rows), padded(columns)))
    found[:, :rows, :columns] = matrix.reshape(gates, rows, columns)
    return found.reshape(-1, padded(columns))


def tiled(matrix, layout):
    """(groups of rows, rows of a tile, tiles side by side, columns of a tile)."""
    height, width = TILES[layout]
    return matrix.reshape(len(matrix) // height, height, matrix.shape[1] // width, width)


def filled(matrix, layout):
    """Which tiles are not zero: `(groups of rows, tiles side by side)`; of `dense`, all."""
    there = (tiled(matrix, layout) != 0).any(axis=(1, 3))
    return np.ones_like(there) if layout == "dense" else there


def cost(matrix, layout, quantize=None):
    """What a product of a widened matrix with a vector takes, by `COSTS`."""
    there = filled(matrix, layout)
    each, group = COSTS[quantize][layout]
    return each * there.sum() + group * len(there)


def size(matrix, layout, quantize=None):
    """Bytes of the values of a widened matrix, and of what says where they are."""
    there, (height, width) = filled(matrix, layout), TILES[layout]
    values = there.sum() * height * width * (1 if quantize else 4)
    return values + (0 if layout == "dense" else 2 * there.sum() + 4 * (len(there) + 1))


def chosen(matrix, layout=None, quantize=None):
    """The layout for a widened matrix: as asked, or the smallest of those whose product takes least, or hardly more.

    Raises: InputError.
    """
    fits = [name for name, (_, width) in TILES.items() if name == "dense" or matrix.shape[1] // width < MOST_PLACES]
    if layout is not None and layout not in fits:
        raise InputError(f"layout {layout} cannot hold {matrix.shape[1]} columns; leave it away")
    costs = {name: cost(matrix, name, quantize) for name in fits}
    fast = [name for name in fits if costs[name] <= HARDLY * min(costs.values())]
    return layout or min(fast, key=lambda name: size(matrix, name, quantize))


def laid(matrix, layout, quantize=None):
    """A widened matrix in a layout, in single precision or, `quantize="int8"`, in steps of a 127th of each row's largest."""
    values, scale = in_steps(matrix) if quantize else (matrix.astype(np.float32), None)
    there = filled(matrix, layout)
    parts = tiled(values, layout).transpose(0, 2, 3, 1)[there]  # tile after tile, of each column after column
    if quantize and TILES[layout][1] == 4:
        parts = sum((parts[:, j].astype(np.int64) & 255) << (8 * j) for j in range(4)).astype(np.uint32)
    rows, columns = matrix.shape
    if layout == "dense":
        return Laid(layout, rows, columns, parts.reshape(-1), scale=scale)
    starts = np.concatenate([[0], there.sum(1).cumsum()]).astype(np.int32)
    places = np.nonzero(there)[1].astype(np.uint16)
    return Laid(layout, rows, columns, parts.reshape(-1), starts, places, scale)


def in_steps(matrix):
    """(int8 values, what a step of each row is worth): the largest of a row is 127 steps."""
    largest = np.abs(matrix).max(axis=1, initial=0)
    least = np.finfo(np.float32).tiny  # of a row that is smaller, nothing is left
    scale = np.where(largest > 0, np.maximum(largest / 127, least), 1.0).astype(np.float32)
    return np.rint(matrix / scale[:, None].astype(float)).astype(np.int8), scale


def rounded(matrix):
    """A matrix as its int8 values are read again."""
    values, scale = in_steps(matrix)
    return values * scale[:, None].astype(float)
