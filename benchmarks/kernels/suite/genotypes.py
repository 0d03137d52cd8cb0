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
        repeat(300, self.kernels.count_codes, self.rows, self.mask, len(self.people), self.counts)

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


class Pgen(Timed):
    """Records that list who differs from a constant, as of most variants in a .pgen."""

    def prepare(self) -> None:
        from prs.kernels.pgen import decode_records

        n_people, n_records = 8192, size(2000)
        rng = np.random.default_rng(4)
        records = []
        for _ in range(n_records):
            people = np.cumsum(rng.integers(1, 40, 400))
            people = people[people < n_people]
            length = len(people)
            starts = np.arange(0, length, 64)
            later = np.delete(np.diff(people, prepend=0), starts).astype(np.uint8)
            records += [
                bytes([length & 127 | 128, length >> 7]),  # a number in base 128
                people[starts].astype("<u2").tobytes(),
                bytes(len(starts) - 1),
                rng.integers(0, 256, -(-length // 4), dtype=np.uint8).tobytes(),
                later.tobytes(),
            ]
        stops = np.cumsum([sum(map(len, records[i : i + 5])) for i in range(0, len(records), 5)])
        self.kernel = decode_records
        self.arguments = (
            np.frombuffer(b"".join(records), dtype=np.uint8), np.append(0, stops[:-1]), stops,
            np.full(n_records, 4, dtype=np.uint8), np.arange(n_records), n_people,
            np.empty((n_records, n_people // 4), dtype=np.uint8),
        )  # fmt: skip

    def time_decode_records(self) -> None:
        repeat(40, self.kernel, *self.arguments)
