"""What the benchmarks share: how they are timed, their sizes, and packed genotypes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba.core.errors
import numpy as np

#: The tests run every benchmark once on a hundredth of the data.
SMALL = os.environ.get("PRS_BENCHMARKS_SMALL") == "1"

#: What an older commit answers where it has no such kernel, or one with other arguments; for
#: the commit at hand the tests see to it that nothing of this happens.
LACKING = (ImportError, AttributeError, TypeError, numba.core.errors.NumbaError)


def size(n: int) -> int:
    """Return how many of something to use: `n`, or few where only the code is tested."""
    return max(64, n // 100) if SMALL else n


class Timed:
    """Benchmarks of the arguments that `prepare` makes.

    CPU time of one thread, as other work on the machine changes it least. 5 samples in each of 2
    rounds: with 10 on either side asv tests their ranks, and a change is reported if it is both
    beyond the factor and not a matter of chance (p < 0.002).
    """

    timer = time.process_time
    rounds = 2
    repeat = 5
    number = 1
    warmup_time = 0

    def setup(self, *parameters: Any) -> None:
        """Prepare once a process; a kernel that is not there, or not like this, is skipped."""
        if getattr(self, "_ready", None) == parameters:
            return
        try:
            self.try_out(*parameters)
        except LACKING as error:
            raise NotImplementedError from error  # asv's word for "not applicable"
        self._ready = parameters

    def try_out(self, *parameters: Any) -> None:
        """Prepare, and run everything once, which compiles it."""
        self.prepare(*parameters)
        for name in dir(self):
            if name.startswith("time_"):
                getattr(self, name)(*parameters)

    def prepare(self, *parameters: Any) -> None:
        raise NotImplementedError


def repeat(times: int, function: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """Call something several times, so that what is measured takes a tenth of a second."""
    for _ in range(1 if SMALL else times):
        function(*arguments, **named)


@lru_cache(maxsize=1)
def packed_calls(n_variants: int, n_people: int, missing: float = 0.01) -> np.ndarray:
    """Return packed rows of a .bed, frequencies from 0.05 to 0.95, with LD of near variants."""
    rng = np.random.default_rng(1)
    frequency = rng.uniform(0.05, 0.95, (-(-n_variants // 16), 1))
    source = rng.random((len(frequency), n_people), dtype=np.float32)
    copies = (source < frequency**2).astype(np.uint8) + (source < frequency)
    code = np.array([3, 2, 0], dtype=np.uint8)[copies]  # none, one, two
    code = np.repeat(code, 16, axis=0)[:n_variants]
    noise = rng.random(code.shape, dtype=np.float32)
    code[noise < 0.05] = 3  # so that near variants are alike, not the same
    code[noise > 1 - missing] = 1
    code = np.pad(code, ((0, 0), (0, -n_people % 4)))
    return code[:, ::4] | (code[:, 1::4] << 2) | (code[:, 2::4] << 4) | (code[:, 3::4] << 6)


def packed_words(n_variants: int, n_people: int) -> np.ndarray:
    """Return packed rows of whole 64-bit words; people are a multiple of 64."""
    return packed_calls(n_variants, n_people).view(np.uint64)
