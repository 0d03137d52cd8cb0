"""Regions of the genome that analyses leave out, in the coordinates of either build."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prs.inputs.builds import tell_build
from prs.variants import VariantTable

__all__ = ["LONG_RANGE_LD", "MHC", "REGIONS", "in_regions"]

#: (chromosome, first, last base).
_Regions = tuple[tuple[int, int, int], ...]

#: The extended MHC, the same megabases in GRCh37 and GRCh38.
MHC: _Regions = ((6, 25_000_000, 34_000_000),)
#: Long-range LD: Price et al. 2008 (AJHG 83:132), as listed by Anderson et al. 2010 (Nat Protoc
#: 5:1564).
#:
#: GRCh38: the lift-over of that list in plinkQC, which is also that of the University of Michigan's
#: page "Regions of high linkage disequilibrium", without its fragments of less than 0.1 Mb; and,
#: of the regions that it lacks, those four that GenoTools has (2:134, 5:98, 5:136 and 12:109 Mb).
#: No published list has 3:89 to 97.5 and 11:46 to 57 Mb, which surround centromeres, in GRCh38.
LONG_RANGE_LD: dict[str, _Regions] = {
    "GRCh37": (
    (1, 48_000_000, 52_000_000), (2, 86_000_000, 100_500_000), (2, 134_500_000, 138_000_000),
    (2, 183_000_000, 190_000_000), (3, 47_500_000, 50_000_000), (3, 83_500_000, 87_000_000),
    (3, 89_000_000, 97_500_000), (5, 44_500_000, 50_500_000), (5, 98_000_000, 100_500_000),
    (5, 129_000_000, 132_000_000), (5, 135_500_000, 138_500_000), (6, 25_500_000, 33_500_000),
    (6, 57_000_000, 64_000_000), (6, 140_000_000, 142_500_000), (7, 55_000_000, 66_000_000),
    (8, 8_000_000, 12_000_000), (8, 43_000_000, 50_000_000), (8, 112_000_000, 115_000_000),
    (10, 37_000_000, 43_000_000), (11, 46_000_000, 57_000_000), (11, 87_500_000, 90_500_000),
    (12, 33_000_000, 40_000_000), (12, 109_500_000, 112_000_000), (20, 32_000_000, 34_500_000),
    ),
    "GRCh38": (
    (1, 47_761_740, 51_761_740), (2, 85_919_365, 100_517_106), (2, 133_742_429, 137_242_430),
    (2, 182_427_027, 189_427_029), (3, 47_483_505, 49_987_563), (3, 83_368_158, 86_868_160),
    (5, 44_464_140, 51_168_409), (5, 98_664_296, 101_164_296), (5, 129_636_407, 132_636_409),
    (5, 136_164_311, 139_164_311), (6, 25_391_792, 33_424_245), (6, 57_788_603, 58_453_888),
    (6, 61_109_122, 61_357_029), (6, 139_637_169, 142_137_170), (7, 54_964_812, 66_897_578),
    (8, 8_105_067, 12_105_082), (8, 43_025_699, 48_924_888), (8, 110_918_594, 113_918_595),
    (10, 36_671_065, 43_184_546), (11, 88_127_183, 91_127_184), (12, 32_955_798, 41_319_931),
    (12, 109_062_195, 111_562_196), (20, 33_948_532, 36_438_183),
    ),
}  # fmt: skip
#: Names of what may be left out.
REGIONS = ("mhc", "long_range_ld")


def in_regions(variants: VariantTable, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which variants lie in regions, in the build that their positions tell.

    Parameters
    ----------
    variants : VariantTable
        M variants; GRCh37 where their build cannot be told (`prs.inputs.builds.tell_build`).
    names : tuple of str
        Of `REGIONS`.

    Returns
    -------
    ndarray of bool, shape (M,)
    """
    inside = np.zeros(len(variants), dtype=bool)
    build = "GRCh38" if names and tell_build(variants).startswith("GRCh38") else "GRCh37"
    known = {"mhc": MHC, "long_range_ld": LONG_RANGE_LD[build]}
    for name in names:
        for chrom, first, last in known[name]:
            inside |= (variants.chrom == chrom) & (variants.pos >= first) & (variants.pos <= last)
    return inside
