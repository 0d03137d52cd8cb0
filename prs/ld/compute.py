"""LD of a population from its genotypes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prs.errors import LDReferenceError
from prs.inputs.genotypes import Genotypes
from prs.ld.blocks import BlockTable, read_blocks
from prs.ld.correlation import choose_people_and_variants, correlate_variants
from prs.ld.reference import LDReference
from prs.ld.splitting import SplitSettings, find_block_starts
from prs.samples import SampleTable
from prs.variants import chromosome_labels

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["compute_ld"]

logger = logging.getLogger(__name__)

#: Variants whose matrix is still easily held (400 MB).
_MAX_BLOCK = 10_000


def compute_ld(
    genotypes: Genotypes,
    *,
    samples: SampleTable | ArrayLike | None = None,
    blocks: BlockTable | str | Path | None = None,
    population: str = "",
    min_maf: float = 0.01,
    max_missing: float = 0.1,
    max_block: int = _MAX_BLOCK,
    split: SplitSettings | None = None,
    n_threads: int | None = None,
    client: Client | None = None,
) -> LDReference:
    """Return the LD of a population: Pearson correlations of dosages within blocks.

    Frequencies are counted and blocks found now; a block's correlations are computed each time
    that they are read, from genotypes, which takes about as long as reading them from a file.
    So a panel of any size streams through `write_ld`, or is held with `LDReference.load`. The
    numbers are the same for any number of threads (see `prs.ld.correlation.correlate`, also
    for missing calls).

    Parameters
    ----------
    genotypes : Genotypes
        Reference genotypes.
    samples : SampleTable, index array or mask, optional
        People of the population: ids as from `read_sample_list`, positions, or a mask.
        Default: all.
    blocks : BlockTable or path, optional
        Where to cut (a BED file); variants between two of its blocks form a block of their
        own. Default: where the least LD is lost, see `split_blocks`.
    population : str
        Its name, kept in the result.
    min_maf : float
        Variants with a smaller minor-allele frequency among these people are left out;
        variants that do not vary always are.
    max_missing : float
        Variants with a larger share of missing calls are left out.
    max_block : int
        Largest number of variants that a block of the BED file may hold.
    split : SplitSettings, optional
        How blocks are found where `blocks` is not given.
    n_threads : int, optional
        Threads for finding blocks; default: one per core.
    client : distributed.Client, optional
        A cluster whose workers find the blocks, a chromosome each. Give it to `write_ld` as
        well, where the correlations are computed.

    Returns
    -------
    LDReference
        Variants sorted by chromosome and position; the effect allele is that of the genotypes.
        ``notes`` counts what was left out.

    Raises
    ------
    SampleMismatchError
        If none of the listed people is in the file.
    LDReferenceError
        If no variant is left, a chromosome has no blocks, or a block is too large.
    """
    if isinstance(blocks, str | Path):
        source_of_blocks = Path(blocks).name
        blocks = read_blocks(blocks)
    else:
        source_of_blocks = "given"
    usable = choose_people_and_variants(genotypes, samples, min_maf, max_missing)
    view, notes = usable.genotypes, list(usable.notes)
    if blocks is None:
        starts = find_block_starts(view, split or SplitSettings(), n_threads, client)
        notes.append(f"{len(starts) - 1:,} blocks found where the least LD is lost")
    else:
        starts = blocks.assign(view.variants)
        _check_sizes(view, starts, max_block)
        outside = int(np.sum(~blocks.covers(view.variants)))
        notes.append(f"{len(starts) - 1:,} blocks ({source_of_blocks})")
        if outside:
            notes.append(
                f"{outside:,} of {view.n_variants:,} variants lie between blocks and form "
                "blocks of their own"
            )
    for note in notes[len(usable.notes) :]:
        logger.info("%s: %s", genotypes.path, note)
    return LDReference(
        view.variants,
        usable.eaf,
        starts,
        population,
        view.n_samples,
        genotypes.path,
        _GenotypeReader(view, starts),
        tuple(notes),
    )


def _check_sizes(view: Genotypes, starts: NDArray[np.int64], max_block: int) -> None:
    sizes = np.diff(starts)
    large = np.flatnonzero(sizes > max_block)
    if len(large):
        variants = view.variants
        labels, first = chromosome_labels(variants.chrom[starts[large]]), starts[large]
        raise LDReferenceError(
            f"{len(large):,} of {len(sizes):,} LD blocks have more than {max_block:,} variants",
            path=view.path,
            rows=[
                f"{label}:{variants.pos[i]}-{variants.pos[i + size - 1]}: {size:,} variants"
                for label, i, size in zip(labels, first, sizes[large], strict=True)
            ],
            n_rows=len(large),
            remedy="keep fewer variants (HapMap3; a higher min_maf), leave out the file of "
            "blocks so that smaller ones are found, or raise max_block",
        )


@dataclass(frozen=True, eq=False)
class _GenotypeReader:
    """Computes a block's correlations from genotypes."""

    genotypes: Genotypes
    starts: NDArray[np.int64]

    def __call__(self, block: int) -> NDArray[np.float32]:
        where = slice(int(self.starts[block]), int(self.starts[block + 1]))
        return correlate_variants(self.genotypes, where)
