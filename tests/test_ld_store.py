"""LD files that are made in several goes, and rounded ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prs.errors import SettingsError
from prs.ld.journal import Journal
from prs.ld.reference import LDReference
from prs.ld.store import open_ld, write_ld
from prs.variants import VariantTable

SIZES = (40, 1, 25, 60)


def reference(seed: int = 1) -> LDReference:
    rng = np.random.default_rng(seed)
    n = sum(SIZES)
    variants = VariantTable(
        np.ones(n, np.int8),
        np.arange(1, n + 1),
        np.array([f"rs{i}" for i in range(n)], dtype=object),
        np.full(n, "A", dtype=object),
        np.full(n, "G", dtype=object),
    )
    blocks = [np.corrcoef(rng.normal(size=(m, 80)) + rng.normal(size=80)) for m in SIZES]
    blocks = [np.atleast_2d(block) for block in blocks]
    return LDReference.from_blocks(variants, rng.uniform(0.1, 0.9, n), blocks, population="EUR")


def stopping(ld: LDReference, at: int) -> LDReference:
    """Return the same reference, whose run is killed at a block."""

    def read(block: int) -> np.ndarray:
        if block == at:
            raise KeyboardInterrupt
        return ld.reader(block)

    return LDReference(
        ld.variants, ld.eaf, ld.block_starts, ld.population, ld.n_samples, ld.source, read, ld.notes
    )


@pytest.mark.parametrize("half_written", [False, True])
def test_a_killed_run_goes_on_and_makes_the_same_bytes(tmp_path: Path, half_written: bool) -> None:
    ld = reference()
    write_ld(ld, tmp_path / "whole.h5")
    path, journal = tmp_path / "x.h5", tmp_path / ".x.h5.partial"
    with pytest.raises(KeyboardInterrupt):
        write_ld(stopping(ld, 2), path, resume=True, n_threads=1)
    assert not path.exists()
    assert journal.exists()
    if half_written:
        journal.write_bytes(journal.read_bytes()[:-7])
    asked: list[int] = []

    def read(block: int) -> np.ndarray:
        asked.append(block)
        return ld.reader(block)

    counting = LDReference(
        ld.variants, ld.eaf, ld.block_starts, ld.population, ld.n_samples, ld.source, read, ld.notes
    )
    write_ld(counting, path, resume=True, n_threads=2)
    assert sorted(asked) == ([1, 2, 3] if half_written else [2, 3])
    assert path.read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert not journal.exists()
    # what other LD left is not used
    with pytest.raises(KeyboardInterrupt):
        write_ld(stopping(reference(2), 2), path, resume=True, n_threads=1)
    write_ld(ld, path, resume=True)
    assert path.read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_a_journal_holds_whole_entries_only(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "x", b"f" * 32)
    for data in (b"one", b"", b"three"):
        journal.append(len(data), data)
    raw = bytearray(journal.path.read_bytes())
    assert [data for _, data in Journal(tmp_path / "x", b"f" * 32).entries()] == [
        b"one",
        b"",
        b"three",
    ]
    raw[-1] ^= 1  # a byte of the last entry is damaged
    journal.path.write_bytes(raw)
    assert len(Journal(tmp_path / "x", b"f" * 32)) == 2
    assert len(Journal(tmp_path / "x", b"g" * 32)) == 0


@pytest.mark.parametrize("precision, step", [("int16", 1 / 32767), ("int8", 1 / 127)])
def test_rounded_correlations_are_within_half_a_step(
    tmp_path: Path, precision: str, step: float
) -> None:
    ld = reference()
    write_ld(ld, tmp_path / "whole.h5")
    write_ld(ld, tmp_path / "x.h5", precision=precision)
    again = open_ld(tmp_path / "x.h5")
    largest = 0.0
    for (_, exact), (_, rounded) in zip(ld.blocks(), again.blocks(), strict=True):
        np.testing.assert_array_equal(rounded, rounded.T)
        np.testing.assert_array_equal(np.diagonal(rounded), 1)
        largest = max(largest, float(np.abs(exact - rounded).max()))
    assert step / 4 < largest <= step / 2 + 2**-24  # and one rounding to float32
    assert (tmp_path / "x.h5").stat().st_size < (tmp_path / "whole.h5").stat().st_size
    with pytest.raises(SettingsError):
        write_ld(ld, tmp_path / "x.h5", precision="float16")
