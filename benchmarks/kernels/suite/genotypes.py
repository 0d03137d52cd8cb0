"""Packed genotypes: counting, decoding, scoring."""

from __future__ import annotations

import numpy as np

from .common import Timed, packed_calls, packed_words, repeat, size


class Packed(Timed):
    def prepare(self) -> None:
        from prs.kernels import packed

        n_people = 8192
        self.kernels = packed
        self.rows = packed_calls(size(2048), n_people)
        self.people = np.arange(n_people)
        self.mask = packed.person_mask(self.people, self.rows.shape[1])
        self.counts = np.empty((len(self.rows), 4), dtype=np.int64)
        self.dosages = np.empty((len(self.rows), n_people), dtype=np.float32)
        rng = np.random.default_rng(2)
        self.calls = rng.integers(0, 3, (len(self.rows), n_people), dtype=np.int8)
        self.calls[:, ::100] = -9
        self.out = np.empty_like(self.rows)

    def time_count_codes(self) -> None:
        repeat(20, self.kernels.count_codes, self.rows, self.mask, len(self.people), self.counts)

    def time_decode_dosages(self) -> None:
        repeat(15, self.kernels.decode_dosages, self.rows, self.people, self.dosages)

    def time_decode_dosages_of_some(self) -> None:
        some = self.people[1::2].copy()
        repeat(8, self.kernels.decode_dosages, self.rows, some, self.dosages)

    def time_pack_calls(self) -> None:
        repeat(150, self.kernels.pack_calls, self.calls, self.out)


class Score(Timed):
    def prepare(self) -> None:
        from prs.kernels import scoring

        self.kernels = scoring
        self.rows = packed_words(size(2048), 8192)
        n, n_words = self.rows.shape
        rng = np.random.default_rng(3)
        self.values = np.tile([2.0, 0.6, 1.0, 0.0], (n, 1))
        self.weights = rng.standard_normal((n, 50))
        self.column = self.values * self.weights[:, :1]
        self.index = np.empty((n // 4, 4, n_words), dtype=np.uint64)
        self.totals = np.zeros((4, 8 * n_words))
        self.many = np.zeros((4, 8 * n_words, 50))
        self.mask = np.full(n_words, 0x5555555555555555, dtype=np.uint64)
        self.counts = np.zeros((n, 3), dtype=np.int64)
        self.bytewise = np.zeros((4, n_words), dtype=np.uint64)

    def time_one_column(self) -> None:
        n_words = self.rows.shape[1]
        arguments = (self.rows, self.column, 0, n_words, self.totals)
        repeat(80, self.kernels.accumulate_column, *arguments)

    def time_interleave(self) -> None:
        repeat(400, self.kernels.interleave, self.rows, 0, self.rows.shape[1], self.index)

    def time_fifty_columns(self) -> None:
        index, n_bytes = self.index.view(np.uint8), 8 * self.rows.shape[1]
        arguments = (index, self.values, self.weights, 0, n_bytes, self.many)
        repeat(3, self.kernels.accumulate_columns, *arguments)

    def time_count_missing(self) -> None:
        few = self.rows[: self.kernels.MOST_ROWS]
        repeat(6000, self.kernels.count_missing, few, 0, self.rows.shape[1], self.bytewise)

    def time_count_row_codes(self) -> None:
        repeat(800, self.kernels.count_row_codes, self.rows, self.mask, self.counts)
