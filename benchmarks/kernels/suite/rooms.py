"""Above the kernels: summary statistics read and harmonised, and peaks of memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .common import LACKING, Timed, packed_calls, repeat, size


def random_rows(n_variants: int, n_people: int) -> np.ndarray:
    """Return packed rows without missing calls."""
    rows = np.random.default_rng(13).integers(0, 256, (n_variants, n_people // 4), dtype=np.uint8)
    return rows | (rows & 0x55) << 1


def make_genotypes(packed: np.ndarray) -> Any:
    """Return genotypes that are in memory, without files."""
    from prs.inputs.genotypes import _view
    from prs.inputs.plink1 import Fileset
    from prs.samples import SampleTable
    from prs.variants import VariantTable

    n_variants, n_people = len(packed), 4 * packed.shape[1]
    person, place = np.arange(n_people), np.arange(n_variants)
    names = person.astype(str).astype(object)
    samples = SampleTable(names, names, np.zeros(n_people, np.int8), np.ones(n_people, np.bool_))
    variants = VariantTable(
        np.ones(n_variants, dtype=np.int16), 1000 * place + 1, place.astype(str).astype(object),
        np.full(n_variants, "A", dtype=object), np.full(n_variants, "C", dtype=object),
    )  # fmt: skip
    fileset = Fileset(Path("made.bed"), packed, variants, np.zeros(n_variants), samples, ())
    return _view("made", (fileset,), place, person, ())


def raise_of_peak(work: Callable[[], Any]) -> int:
    """Return by how many bytes a call raises the memory in use at most (Linux only)."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is in use now
    before = in_use("VmRSS")
    work()
    return in_use("VmHWM") - before


def in_use(field: str) -> int:
    """Return a figure of this process's memory, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


class SummaryStatistics(Timed):
    """A table of 100,000 variants in text, and the same on a panel of half of them."""

    def prepare(self) -> None:
        from prs.inputs.harmonise import harmonise
        from prs.inputs.sumstats import read_sumstats

        n = size(100_000)
        rng = np.random.default_rng(11)
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "made.tsv"
        first, shift = rng.integers(0, 4, n), rng.integers(1, 4, n)
        eaf = rng.uniform(0.01, 0.99, n)
        z = rng.standard_normal(n)
        with self.file.open("w", encoding="utf-8") as out:
            out.write("CHR\tBP\tSNP\tA1\tA2\tBETA\tSE\tP\tFRQ\tN\n")
            for i in range(n):
                a, b = "ACGT"[first[i]], "ACGT"[(first[i] + shift[i]) % 4]
                p = 2.0 * (1.0 - 0.5 * (1.0 + np.tanh(0.8 * abs(z[i]))))  # nearly the normal's
                out.write(
                    f"{i * 22 // n + 1}\t{20 * i + 1000}\trs{i}\t{a}\t{b}\t{0.01 * z[i]:.5f}\t0.01"
                    f"\t{p:.4g}\t{eaf[i]:.4f}\t300000\n"
                )
        self.read, self.harmonise = read_sumstats, harmonise
        self.statistics = read_sumstats(self.file, population="EUR")
        here = np.arange(0, len(self.statistics), 2)
        self.panel, self.eaf = self.statistics.variants.take(here), self.statistics.eaf[here].copy()

    def time_read_sumstats(self) -> None:
        repeat(2, self.read, self.file, population="EUR")

    def time_harmonise(self) -> None:
        repeat(4, self.harmonise, self.statistics, self.panel, eaf=self.eaf)


class Memory:
    """By how much a call raises the peak of memory; its code is compiled before, on little."""

    unit = "bytes"

    def setup(self) -> None:
        try:
            from prs.ld.correlation import correlate_variants
            from prs.scoring import score
            from prs.weights.table import Weights
        except LACKING as error:
            raise NotImplementedError from error

        def make(n_people: int, n_block: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
            genotypes = make_genotypes(random_rows(128, n_people))
            columns = np.random.default_rng(12).standard_normal((128, 50))
            names = tuple(f"score{s}" for s in range(50))
            weights = Weights(genotypes.variants, columns, names)
            block = make_genotypes(packed_calls(n_block, 8192))
            return (
                lambda: score(genotypes, weights, n_threads=1),
                lambda: correlate_variants(block, slice(None)),
            )

        for work in make(1000, 64):
            work()
        self.score, self.correlate = make(size(200_000), size(2000))

    def track_score_of_fifty_columns(self) -> int:
        return raise_of_peak(self.score)

    def track_ld_of_a_block(self) -> int:
        return raise_of_peak(self.correlate)
