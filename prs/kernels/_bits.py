"""`popcount`: the number of bits set in a word, as one machine instruction inside kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

__all__ = ["popcount"]


def popcount(word: np.uint64) -> int:
    """Return the number of bits set in a 64-bit word (plain Python outside kernels)."""
    return int(word).bit_count()


@intrinsic
def _ctpop(typingctx: Any, word: Any) -> Any:  # noqa: ARG001 (numba's calling convention)
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return builder.ctpop(args[0])

    return types.int64(types.uint64), generate


@overload(popcount)
def _popcount_in_kernels(word: Any) -> Any:  # noqa: ARG001
    def implementation(word: Any) -> Any:
        return _ctpop(word)  # type: ignore[call-arg]

    return implementation
