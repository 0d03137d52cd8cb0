"""The one door to numba: every kernel is compiled through these decorators.

Lazy compilation with a cache on disk, no eager signatures (they cost import time), the GIL
released, so that plain Python threads run kernels side by side on independent blocks.
``fastmath=True`` is never used: it breaks NaN tests. `jit_reduce` allows the compiler to
reorder sums and to fuse multiply-adds, for reductions over finite input only; `jit_vector` also
divides without looking for zeros, as a loop with a way out is not turned into vector code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

logger = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])

#: fastmath flags that keep NaN and infinity as they are.
REDUCTION_FLAGS = {"reassoc", "contract"}


def jit(function: Function) -> Function:
    """Compile with strict floating-point semantics."""
    return _compile(function)


def jit_reduce(function: Function) -> Function:
    """Compile with reductions that may be reordered and fused; finite input only."""
    return _compile(function, fastmath=REDUCTION_FLAGS)


def jit_vector(function: Function) -> Function:
    """Compile as `jit_reduce` does; a division by zero gives infinity or NaN, as in NumPy."""
    return _compile(function, fastmath=REDUCTION_FLAGS, error_model="numpy")


def _compile(function: Function, **options: Any) -> Function:
    """Compile, and keep what was compiled on disk where that can be done."""
    options["nogil"] = True
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither beside the code nor below the home folder may one write
        return cast(Function, numba.njit(**options)(function))
    cache = getattr(compiled, "_cache", None)
    if cache is not None:
        save = cache.save_overload

        def save_if_possible(*overload: Any) -> None:
            try:
                save(*overload)
            except OSError as error:  # a full disk or quota: compiled anew the next time
                logger.info("compiled code is not kept: %s", error)

        cache.save_overload = save_if_possible
    return cast(Function, compiled)
