"""LD and clumping: correlations of a block, r2 of pairs, the greedy walk; kinship."""

from __future__ import annotations

import numpy as np

from .common import SMALL, Timed, packed_calls, packed_words, repeat, size


class Block(Timed):
    """What surrounds the product of matrices in the LD of a block."""

    def prepare(self) -> None:
        from prs.kernels import ld
        from prs.kernels.packed import count_codes, person_mask

        n_people = 4096
        self.kernels = ld
        self.rows = packed_calls(size(1000), n_people)
        n = len(self.rows)
        self.people = np.arange(n_people)
        counts = np.empty((n, 4), dtype=np.int64)
        count_codes(self.rows, person_mask(self.people, n_people // 4), n_people, counts)
        self.starts = np.concatenate([[0], np.cumsum(counts[:, 1])])
        self.lacking = np.empty(self.starts[-1], dtype=np.int64)
        self.signs = np.empty((n, n_people), dtype=np.float32)
        self.time_decode_signs()
        self.products = self.signs @ self.signs.T
        self.total = (counts[:, 0] - counts[:, 3]).astype(np.float64)
        self.n_called = n_people - counts[:, 1]
        self.values = np.empty((n_people, n), dtype=np.int16)
        self.time_by_person()
        self.lost, self.both_lost = np.empty((2, n, n), dtype=np.int32)

    def time_decode_signs(self) -> None:
        arguments = (self.rows, self.people, self.starts, self.signs, self.lacking)
        repeat(80, self.kernels.decode_signs, *arguments)

    def time_by_person(self) -> None:
        repeat(20, self.kernels.by_person, self.rows, self.people, self.values)

    def time_sum_over_missing(self) -> None:
        arguments = (self.starts, self.lacking, self.values, self.lost, self.both_lost)
        repeat(25, self.kernels.sum_over_missing, *arguments)

    def time_to_correlation(self) -> None:
        few = (self.total, self.n_called, len(self.people), self.lost, self.both_lost)
        for _ in range(1 if SMALL else 30):
            self.kernels.to_correlation(self.products.copy(), *few)


class Clump(Timed):
    def prepare(self) -> None:
        from prs.kernels import clump

        self.kernels = clump
        self.rows = packed_words(size(8192), 4096)
        n, n_words = self.rows.shape
        self.n_people = 32 * n_words
        self.valid = np.full(n_words // 2, 2**64 - 1, dtype=np.uint64)
        self.planes = np.empty((n, 3, n_words // 2), dtype=np.uint64)
        self.sums = np.empty((n, 3), dtype=np.int64)
        self.time_split_planes()
        rng = np.random.default_rng(4)
        self.order = rng.permutation(n)
        self.first = np.maximum(np.arange(n) - 100, 0)
        self.last = np.minimum(np.arange(n) + 101, n)
        self.pairs = np.empty((200 * n, 2), dtype=np.int32)
        self.r2 = np.empty(200 * n)

    def time_split_planes(self) -> None:
        repeat(40, self.kernels.split_planes, self.rows, self.valid, self.planes, self.sums)

    def time_pairs_by_dosage(self) -> None:
        self._pairs(False)

    def time_pairs_by_haplotype(self) -> None:
        self._pairs(True)

    def _pairs(self, by_haplotype: bool) -> None:
        self.kernels.r2_of_pairs(
            self.planes, self.sums, self.n_people, len(self.rows), self.last, 0.2, by_haplotype,
            self.pairs, self.r2,
        )  # fmt: skip

    def time_clump_variants(self) -> None:
        n = len(self.rows)
        for _ in range(1 if SMALL else 20):
            owner = np.full(n, self.kernels.UNDECIDED, dtype=np.int64)
            self.kernels.clump_variants(
                self.planes, self.sums, self.n_people, self.order, self.first, self.last, 0.1,
                True, np.zeros(n, dtype=np.bool_), owner,
            )  # fmt: skip


class Kinship(Timed):
    def prepare(self) -> None:
        from prs.kernels.kinship import count_pairs

        self.kernel = count_pairs
        n = size(400)
        rng = np.random.default_rng(5)
        a, b = rng.integers(0, 2**63, (2, n, 64), dtype=np.uint64)
        self.planes = (a & b, a & ~b, ~a & b)
        self.people = np.arange(n)
        self.counts = np.zeros((4, n, n), dtype=np.int32)

    def time_count_pairs(self) -> None:
        repeat(20, self.kernel, *self.planes, self.people, self.people, *self.counts)
