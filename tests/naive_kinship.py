"""KING's counts, one variant at a time."""

from __future__ import annotations

import numpy as np


def king(x: np.ndarray, y: np.ndarray) -> float:
    """Kinship of two people from dosages 0, 1, 2 and NaN."""
    both_het = opposite = het_x = het_y = 0
    for a, b in zip(x, y, strict=True):
        if np.isnan(a) or np.isnan(b):
            continue
        both_het += a == 1 and b == 1
        opposite += abs(a - b) == 2
        het_x += a == 1
        het_y += b == 1
    least = min(het_x, het_y)
    return (both_het - 2 * opposite) / (2 * least) + 0.5 - (het_x + het_y) / (4 * least)
