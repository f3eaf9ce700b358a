"""Simplex noise in two dimensions: all that the Lux engine's map generator takes from `vec_noise`.

That package is C and builds on no current NumPy. The generator compares the noise with percentiles
of itself, so that boards are the engine's own only if every rounding is: all arithmetic here is
float32, in the order of Gustavson's published algorithm.
"""

import importlib.util
import sys
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike

SKEW = np.float32((np.sqrt(3) - 1) / 2)
"""From the plane to the grid of squares whose halves are the triangles."""
UNSKEW = np.float32((3 - np.sqrt(3)) / 6)
SCALE = np.float32(70)
"""Brings the sum of three corners to about [-1, 1]."""
GRADIENTS = np.array(
    [[1, 1], [-1, 1], [1, -1], [-1, -1], [1, 0], [-1, 0], [1, 0], [-1, 0],
     [0, 1], [0, -1], [0, 1], [0, -1]], np.float32,
)  # fmt: skip
"""Twelve edges of a cube, seen from above."""
PERMUTATION = np.array(
    [151, 160, 137, 91, 90, 15, 131, 13, 201, 95, 96, 53, 194, 233, 7, 225, 140, 36, 103, 30, 69,
     142, 8, 99, 37, 240, 21, 10, 23, 190, 6, 148, 247, 120, 234, 75, 0, 26, 197, 62, 94, 252, 219,
     203, 117, 35, 11, 32, 57, 177, 33, 88, 237, 149, 56, 87, 174, 20, 125, 136, 171, 168, 68, 175,
     74, 165, 71, 134, 139, 48, 27, 166, 77, 146, 158, 231, 83, 111, 229, 122, 60, 211, 133, 230,
     220, 105, 92, 41, 55, 46, 245, 40, 244, 102, 143, 54, 65, 25, 63, 161, 1, 216, 80, 73, 209, 76,
     132, 187, 208, 89, 18, 169, 200, 196, 135, 130, 116, 188, 159, 86, 164, 100, 109, 198, 173,
     186, 3, 64, 52, 217, 226, 250, 124, 123, 5, 202, 38, 147, 118, 126, 255, 82, 85, 212, 207, 206,
     59, 227, 47, 16, 58, 17, 182, 189, 28, 42, 223, 183, 170, 213, 119, 248, 152, 2, 44, 154, 163,
     70, 221, 153, 101, 155, 167, 43, 172, 9, 129, 22, 39, 253, 19, 98, 108, 110, 79, 113, 224, 232,
     178, 185, 112, 104, 218, 246, 97, 228, 251, 34, 242, 193, 238, 210, 144, 12, 191, 179, 162,
     241, 81, 51, 145, 235, 249, 14, 239, 107, 49, 192, 214, 31, 181, 199, 106, 157, 184, 84, 204,
     176, 115, 121, 50, 45, 127, 4, 150, 254, 138, 236, 205, 93, 222, 114, 67, 29, 24, 72, 243, 141,
     128, 195, 78, 66, 215, 61, 156, 180] * 2
)  # fmt: skip
"""Perlin's, twice in a row, so that sums of two entries need no wrapping."""


def snoise2(
    x: ArrayLike, y: ArrayLike, octaves: int = 1, persistence: float = 0.5, lacunarity: float = 2.0
) -> np.ndarray:
    """Noise at the points (x, y), which are broadcast against each other; float32.

    Args:
        x: coordinates.
        y: coordinates.
        octaves: layers that are added.
        persistence: each layer's amplitude over that of the layer before.
        lacunarity: each layer's frequency over that of the layer before.

    Raises:
        ValueError: no octave.
    """
    if octaves < 1:
        raise ValueError(f"octaves must be at least 1, got {octaves}")
    x, y = np.broadcast_arrays(np.asarray(x, np.float32), np.asarray(y, np.float32))
    frequency = amplitude = whole = np.float32(1)
    total = _layer(x, y)
    for _ in range(octaves - 1):
        frequency *= np.float32(lacunarity)
        amplitude *= np.float32(persistence)
        whole += amplitude
        total = total + _layer(x * frequency, y * frequency) * amplitude
    return total / whole


def _layer(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """One octave: the point's triangle, and what its three corners contribute."""
    skew = (x + y) * SKEW
    column, row = np.floor(x + skew), np.floor(y + skew)
    back = (column + row) * UNSKEW
    x0, y0 = x - (column - back), y - (row - back)
    right = x0 > y0
    one = np.float32(1)
    far = UNSKEW * np.float32(2)
    corners = (
        (x0, y0, 0, 0),
        (x0 - right.astype(np.float32) + UNSKEW, y0 - (~right).astype(np.float32) + UNSKEW,
         right.astype(int), (~right).astype(int)),
        (x0 + far - one, y0 + far - one, 1, 1),
    )  # fmt: skip
    column, row = column.astype(int) & 255, row.astype(int) & 255
    total = np.zeros_like(x0)
    for dx, dy, next_column, next_row in corners:
        hashed = PERMUTATION[column + next_column + PERMUTATION[row + next_row]]
        gradient = GRADIENTS[hashed % len(GRADIENTS)]
        reach = np.float32(0.5) - dx * dx - dy * dy
        slope = gradient[..., 0] * dx + gradient[..., 1] * dy
        total = total + np.where(reach > 0, reach * reach * reach * reach * slope, np.float32(0))
    return total * SCALE


def provide() -> None:
    """Stands in for `vec_noise` where it is missing; the engine imports it by that name."""
    if "vec_noise" in sys.modules or importlib.util.find_spec("vec_noise"):
        return
    module = ModuleType("vec_noise", "The part that the Lux engine uses, by hinterland.")
    vars(module)["snoise2"] = snoise2
    sys.modules["vec_noise"] = module
