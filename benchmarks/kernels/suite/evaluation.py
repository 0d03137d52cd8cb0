"""Evaluation: sums of bootstrap samples, pairs of Harrell's concordance."""

from __future__ import annotations

import numpy as np

from .common import Timed, repeat, size


class Bootstrap(Timed):
    def prepare(self) -> None:
        from prs.kernels.bootstrap import resample_sums
        from prs.kernels.rng import make_streams

        n = size(20_000)
        columns = np.random.default_rng(10).standard_normal((n, 6))
        counts, sums = np.empty(n, dtype=np.int32), np.zeros((800, 6))
        self.kernel = resample_sums
        self.arguments = (columns, make_streams(1, (6,), (800,)), counts, sums)

    def time_resample_sums(self) -> None:
        self.kernel(*self.arguments)


class Concordance(Timed):
    """With the sorting before it, whose result the kernel takes."""

    def prepare(self) -> None:
        from prs.survival.concordance import concordance

        n = size(20_000)
        rng = np.random.default_rng(10)
        self.concordance = concordance
        times = rng.integers(1, n // 4, n).astype(np.float64)
        event = (rng.random(n) < 0.3).astype(np.float64)
        self.arguments = (times, event, rng.standard_normal(n).round(3))

    def time_concordance(self) -> None:
        repeat(10, self.concordance, *self.arguments)
