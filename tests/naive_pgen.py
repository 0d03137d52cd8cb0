"""Slow twin of `prs.kernels.pgen`: one record's calls, read off the PGEN specification."""

from __future__ import annotations


class _Bytes:
    """Bytes that are taken one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, n: int) -> bytes:
        if self.at + n > len(self.data):
            raise EOFError
        self.at += n
        return self.data[self.at - n : self.at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value += (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value


def _two_bits(data: bytes, i: int) -> int:
    return (data[i // 4] >> (2 * (i % 4))) & 3


def _difflist(source: _Bytes, n_people: int) -> list[tuple[int, int]]:
    """Return pairs of a person and a call."""
    length = source.varint()
    if length == 0:
        return []
    width = (n_people.bit_length() + 7) // 8
    n_groups = -(-length // 64)
    first = [int.from_bytes(source.take(width), "little") for _ in range(n_groups)]
    source.take(n_groups - 1)
    calls = source.take(-(-length // 4))
    pairs: list[tuple[int, int]] = []
    for i in range(length):
        person = first[i // 64] if i % 64 == 0 else pairs[-1][0] + source.varint()
        pairs.append((person, _two_bits(calls, i)))
    return pairs


def record_calls(data: bytes, kind: int, n_people: int, base: list[int]) -> tuple[list[int], int]:
    """Return each person's copies of ALT (3: missing), and how many bytes that took.

    `base` holds the calls of the last record that is not a difference from another.
    """
    source = _Bytes(data)
    if kind == 0:
        packed = source.take(-(-n_people // 4))
        return [_two_bits(packed, i) for i in range(n_people)], source.at
    if kind == 1:
        low, high = {1: (0, 1), 2: (0, 2), 3: (0, 3), 5: (1, 2), 6: (1, 3), 9: (2, 3)}[
            source.take(1)[0]
        ]
        bits = source.take(-(-n_people // 8))
        calls = [high if (bits[i // 8] >> (i % 8)) & 1 else low for i in range(n_people)]
    elif kind in (2, 3):
        calls = list(base)
    else:
        calls = [kind - 4] * n_people
    for person, call in _difflist(source, n_people):
        calls[person] = call
    if kind == 3:
        calls = [{0: 2, 2: 0}.get(call, call) for call in calls]
    return calls, source.at
