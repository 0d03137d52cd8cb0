"""People: their ids, and the one way to find them in another list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from prs.errors import InvalidValueError, SampleMismatchError

__all__ = ["SampleTable", "match_samples"]


@dataclass(frozen=True, eq=False)
class SampleTable:
    """N people, in the order of the file or object that they describe.

    Attributes
    ----------
    fid : ndarray of object (str), shape (N,)
        Family id; "0" where there is none.
    iid : ndarray of object (str), shape (N,)
        Individual id.
    sex : ndarray of int8, shape (N,)
        1 male, 2 female, 0 unknown (PLINK's code).
    is_founder : ndarray of bool, shape (N,)
        Whether neither parent is named in the file.
    """

    fid: NDArray[np.object_]
    iid: NDArray[np.object_]
    sex: NDArray[np.int8]
    is_founder: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.iid)

    @classmethod
    def from_ids(cls, iid: ArrayLike, fid: ArrayLike | None = None) -> SampleTable:
        """Make a table from ids alone (sex unknown, everybody a founder)."""
        iid = np.array([str(i) for i in np.asarray(iid, dtype=object)], dtype=object)
        if fid is None:
            fid = np.full(len(iid), "0", dtype=object)
        fid = np.array([str(f) for f in np.asarray(fid, dtype=object)], dtype=object)
        return cls(fid, iid, np.zeros(len(iid), np.int8), np.ones(len(iid), bool))

    def take(self, index: ArrayLike) -> SampleTable:
        """Return the people at `index` (integers or a mask), in that order."""
        index = np.asarray(index)
        return SampleTable(
            self.fid[index], self.iid[index], self.sex[index], self.is_founder[index]
        )


def _keys(samples: SampleTable, with_family: bool) -> pd.Index:
    if with_family:
        return pd.Index(
            [f"{f}\t{i}" for f, i in zip(samples.fid, samples.iid, strict=True)], dtype=object
        )
    return pd.Index(samples.iid, dtype=object)


def match_samples(
    query: SampleTable,
    target: SampleTable,
    *,
    what: str = "query",
    target_name: str = "target",
    path: str | Path | None = None,
    require_all: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of `query` that are in `target`, and where.

    People are matched by individual id; by family and individual id where individual ids
    are not unique in one of the lists.

    Parameters
    ----------
    query, target : SampleTable
        The two lists.
    what, target_name : str
        What the lists are, for messages.
    path : str or Path, optional
        The file that the query came from, for messages.
    require_all : bool
        Whether every query person must be found.

    Returns
    -------
    query_index, target_index : ndarray of int64, shape (K,)
        In the order of the query.

    Raises
    ------
    SampleMismatchError
        If nobody, or with `require_all` not everybody, is found.
    InvalidValueError
        If the same person is twice in one of the lists.
    """
    with_family = len(set(query.iid)) < len(query) or len(set(target.iid)) < len(target)
    query_keys, target_keys = _keys(query, with_family), _keys(target, with_family)
    for keys, name in ((query_keys, what), (target_keys, target_name)):
        if not keys.is_unique:
            twice = keys[keys.duplicated()].unique()
            raise InvalidValueError(
                f"{len(twice):,} people are listed more than once in {name}",
                path=path,
                rows=[key.replace("\t", " ") for key in twice[:5]],
                n_rows=len(twice),
                remedy="keep one row a person",
            )
    hit = target_keys.get_indexer(query_keys)
    found = np.flatnonzero(hit >= 0)
    lost = np.flatnonzero(hit < 0)
    if len(found) == 0 or (require_all and len(lost)):
        raise SampleMismatchError(
            f"{len(found):,} of the {len(query):,} people of {what} are among the "
            f"{len(target):,} of {target_name} (which has ids such as "
            f"{', '.join(repr(i) for i in target.iid[:3])}). Not found, for example:",
            path=path,
            rows=[f"{query.fid[i]} {query.iid[i]}" for i in lost[:5]],
            n_rows=len(lost),
            remedy="use the same individual ids (IID) in both files",
        )
    return found.astype(np.int64), hit[found].astype(np.int64)
