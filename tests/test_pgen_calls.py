"""Hard calls of a .pgen decoded here: against pgenlib, a slow twin, and records cut short."""

from __future__ import annotations

from pathlib import Path

import naive_pgen
import numpy as np
import pytest

from prs.errors import FileFormatError
from prs.inputs.pgen import PgenRows
from prs.inputs.pgen_records import PgenIndex, read_pgen_index
from prs.kernels.pgen import decode_records

pgenlib = pytest.importorskip("pgenlib", reason="the extra prs[pgen] is not installed")

BED_CODE = np.array([3, 2, 0, 1], dtype=np.uint8)  # of 0, 1, 2 copies of ALT, and no call


def draw_calls(rng: np.random.Generator, n_people: int) -> np.ndarray:
    """Variants that are rare, common, mostly ALT, mostly missing, constant, or like the last."""
    rows = []
    for frequency in (0.5, 0.001, 0.02, 0.3, 0.98, 0.999, 0.5, 0.9):
        row = rng.binomial(2, frequency, n_people)
        rows.append(row)
        for change in (0.0, 0.005, 0.05):  # differences from an earlier one
            near = np.where(rng.random(n_people) < change, rng.integers(0, 3, n_people), row)
            rows.append(np.where(rng.random(n_people) < 0.01, -9, near))
            rows.append(np.where(near >= 0, 2 - near, near))  # the other allele counted
    for pair in ((0, 1), (0, 2), (0, -9), (1, 2), (1, -9), (2, -9)):  # two categories, few others
        row = rng.choice(pair, n_people)
        rows.append(np.where(rng.random(n_people) < 0.01, 1, row))
    rows += [np.full(n_people, call) for call in (0, 1, 2, -9)]
    rows.append(np.where(rng.random(n_people) < 0.02, 1, -9))
    return np.array(rows, dtype=np.int8)


def write_pgen(path: Path, calls: np.ndarray) -> None:
    with pgenlib.PgenWriter(
        str(path).encode(), calls.shape[1], variant_ct=len(calls), nonref_flags=False
    ) as writer:
        writer.append_biallelic_batch(np.ascontiguousarray(calls))


def pack(calls: np.ndarray) -> np.ndarray:
    code = np.pad(BED_CODE[calls % 12], ((0, 0), (0, -calls.shape[1] % 4)))  # -9 is 3 modulo 12
    return code[:, ::4] | (code[:, 1::4] << 2) | (code[:, 2::4] << 4) | (code[:, 3::4] << 6)


def open_rows(path: Path, calls: np.ndarray) -> PgenRows:
    n_records, n_people = calls.shape
    return PgenRows(path, n_people, n_records, np.arange(n_records), None)


# the width of a person's number changes at 256 and 65,536; 64 people make a group of a list
@pytest.mark.parametrize("n_people", [1, 6, 64, 255, 256, 257, 1000, 5003, 65_535, 65_536])
def test_rows_are_those_written_and_those_of_pgenlib(tmp_path: Path, n_people: int) -> None:
    rng = np.random.default_rng(n_people)
    calls = draw_calls(rng, n_people)
    write_pgen(tmp_path / "made.pgen", calls)
    rows = open_rows(tmp_path / "made.pgen", calls)
    index = rows._index
    assert index is not None
    assert not rows.has_dosages
    if n_people >= 1000:
        assert set(index.type.tolist()) >= {0, 1, 2, 3, 4, 6, 7}
    expected = pack(calls)
    np.testing.assert_array_equal(rows[:], expected)
    for some in (rng.permutation(len(calls)), np.array([9, 9, 3]), np.arange(5, 40, 7), [], [12]):
        some = np.array(some, dtype=np.int64)
        np.testing.assert_array_equal(rows[some], expected[some])
    rows._index = None
    np.testing.assert_array_equal(rows[:], expected)


def decode(data: bytes, kind: int, n_people: int, base: np.ndarray) -> tuple[int, np.ndarray]:
    """Decode one record, after one that holds `base` (copies of ALT, 3 for missing) plainly."""
    padded = np.pad(base, (0, -n_people % 4)).astype(np.uint8)
    plain = padded[::4] | (padded[1::4] << 2) | (padded[2::4] << 4) | (padded[3::4] << 6)
    both = np.concatenate([plain, np.frombuffer(data, dtype=np.uint8)])
    out = np.zeros((1, len(plain)), dtype=np.uint8)
    start, stop = np.array([0, len(plain)]), np.array([len(plain), len(both)])
    types = np.array([0, kind], dtype=np.uint8)
    return decode_records(both, start, stop, types, np.array([-1, 0]), n_people, out), out


def test_records_equal_their_twin_and_cut_short_are_malformed(tmp_path: Path) -> None:
    """Each byte of a record is needed; without the last one, or more, there is an error."""
    n_people = 700
    calls = draw_calls(np.random.default_rng(1), n_people)
    write_pgen(tmp_path / "made.pgen", calls)
    index = read_pgen_index(tmp_path / "made.pgen")
    assert index is not None
    file = (tmp_path / "made.pgen").read_bytes()
    held: dict[int, list[int]] = {}
    for record, kind in enumerate(index.type.tolist()):
        data = file[index.start[record] : index.stop[record]]
        base = held.get(int(index.base[record]), [0] * n_people)
        expected, n_read = naive_pgen.record_calls(data, kind, n_people, base)
        held[record] = expected
        assert n_read == len(data)
        bad, row = decode(data, kind, n_people, np.array(base))
        assert bad == -1
        np.testing.assert_array_equal(row, pack(np.array([expected], dtype=np.int8)))
        for shorter in {len(data) - 1, len(data) // 2, 1, 0} - {len(data)}:
            assert decode(data[:shorter], kind, n_people, np.array(base))[0] == 1


def test_random_bytes_are_refused_or_calls() -> None:
    """Whatever a record holds, nobody beyond the last person is written to."""
    rng = np.random.default_rng(2)
    n_people, n_refused = 301, 0
    for _ in range(2000):
        data = rng.integers(0, 256, rng.integers(0, 120), dtype=np.uint8)
        data[:1] //= 8  # mostly lists that could be there
        kind = int(rng.choice([0, 1, 2, 3, 4, 6, 7]))
        bad, row = decode(data.tobytes(), kind, n_people, rng.integers(0, 4, n_people))
        assert row[0, -1] < 4  # three of the last four are not there
        n_refused += bad == 1
    assert 100 < n_refused < 2000


def test_a_damaged_record_is_an_error_that_names_it(tmp_path: Path) -> None:
    calls = draw_calls(np.random.default_rng(3), 500)
    path = tmp_path / "made.pgen"
    write_pgen(path, calls)
    index = read_pgen_index(path)
    assert index is not None
    record = int(np.flatnonzero(index.type == 4)[0])
    content = bytearray(path.read_bytes())
    content[index.start[record]] = 127  # more differences than the record has bytes for
    path.write_bytes(content)
    rows = open_rows(path, calls)
    with pytest.raises(FileFormatError, match=rf"record of variant {record + 1} is malformed"):
        rows[:]
    np.testing.assert_array_equal(rows[:record], pack(calls[:record]))


def test_what_is_not_simple_is_left_to_pgenlib(tmp_path: Path) -> None:
    calls = draw_calls(np.random.default_rng(4), 50)
    write_pgen(tmp_path / "made.pgen", calls)
    index = read_pgen_index(tmp_path / "made.pgen")
    assert index is not None
    assert index.is_simple
    for wrong in (0x08, 0x20, 0x40, 0x80, 0x05):
        types = index.type.copy()
        types[3] = wrong
        changed = PgenIndex(index.start, index.stop, types, index.base)
        assert not changed.is_simple
        assert changed.has_dosages == (wrong in (0x20, 0x40))
    content = (tmp_path / "made.pgen").read_bytes()
    for damaged in (content[:-1], content[:14], content[:2] + b"\x11" + content[3:]):
        (tmp_path / "damaged.pgen").write_bytes(damaged)
        assert read_pgen_index(tmp_path / "damaged.pgen") is None
