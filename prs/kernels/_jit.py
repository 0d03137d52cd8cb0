"""The one door to numba: every kernel is compiled through these decorators.

Lazy compilation with a cache on disk, no eager signatures (they cost import time), the GIL
released, so that plain Python threads run kernels side by side on independent blocks.
``fastmath=True`` is never used: it breaks NaN tests. `jit_reduce` allows the compiler to
reorder sums and to fuse multiply-adds, for reductions over finite input only; `jit_vector` also
divides without looking for zeros, as a loop with a way out is not turned into vector code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

#: fastmath flags that keep NaN and infinity as they are.
REDUCTION_FLAGS = {"reassoc", "contract"}


def jit(function: Function) -> Function:
    """Compile with strict floating-point semantics."""
    return cast(Function, numba.njit(cache=True, nogil=True)(function))


def jit_reduce(function: Function) -> Function:
    """Compile with reductions that may be reordered and fused; finite input only."""
    return cast(Function, numba.njit(cache=True, nogil=True, fastmath=REDUCTION_FLAGS)(function))


def jit_vector(function: Function) -> Function:
    """Compile as `jit_reduce` does; a division by zero gives infinity or NaN, as in NumPy."""
    compiled = numba.njit(cache=True, nogil=True, fastmath=REDUCTION_FLAGS, error_model="numpy")(
        function
    )
    return cast(Function, compiled)
