"""The generated pictures of the suite, so that no test downloads one: a disc of four quadrants, grey or coloured."""

from __future__ import annotations

import numpy as np

SIDE, CENTRE, RADIUS = 80, 39.5, 34.85
LEARNED = np.array([[0.0, -1.0, 0.0], [0.0, 2.0, 0.0], [0.0, -1.0, 0.0]])  # the kernel that learning has to find again


def disc(top_left=1.0, top_right=54 / 255, bottom_left=131 / 255, bottom_right=1.0) -> np.ndarray:
    """One (80, 80) plane: 0 outside the disc, one grey in each quadrant inside."""
    row, column = np.mgrid[:SIDE, :SIDE] - CENTRE
    upper = np.where(column < 0, top_left, top_right)
    lower = np.where(column < 0, bottom_left, bottom_right)
    return np.where(row**2 + column**2 <= RADIUS**2, np.where(row < 0, upper, lower), 0.0)


def coloured_disc() -> np.ndarray:
    """Three (80, 80) planes, red green blue: white, red, green and white quadrants."""
    corners = zip((255, 255, 255), (237, 28, 36), (34, 177, 76), (255, 255, 255), strict=True)
    return np.stack([disc(*(value / 255 for value in plane)) for plane in corners])
