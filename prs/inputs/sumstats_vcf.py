"""GWAS-VCF (Lyon et al. 2021, Genome Biol 22:32) as a table of summary statistics."""

from __future__ import annotations

from dataclasses import replace

from prs.errors import FileFormatError
from prs.inputs.text_table import TextTable

__all__ = ["gwas_vcf_as_table", "is_gwas_vcf"]

_FIXED = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")
#: FORMAT key, and the column that it becomes. ES is the effect of ALT, LP is -log10 p.
_KEYS = {
    "ES": "beta",
    "SE": "se",
    "LP": "neg_log10_p",
    "EZ": "z",
    "AF": "eaf",
    "SI": "info",
    "SS": "n",
    "NC": "n_cases",
}


def is_gwas_vcf(table: TextTable) -> bool:
    """Whether the header is a VCF's with a FORMAT column."""
    return table.header[: len(_FIXED)] == _FIXED


def gwas_vcf_as_table(table: TextTable) -> TextTable:
    """Return the same rows with one column for each FORMAT key that the first row has.

    The effect allele is ALT, as the format defines. Controls are SS - NC.

    Raises
    ------
    FileFormatError
        If there is not exactly one study, or the first row's FORMAT has no effect (ES or EZ).
    """
    n_studies = len(table.header) - len(_FIXED)
    if n_studies != 1:
        raise FileFormatError(
            f"is a VCF with {n_studies} sample columns: a GWAS-VCF has one, its study",
            path=table.path,
            line=table.skipped,
            remedy="extract one study first: bcftools view -s STUDY",
        )
    first = table.held
    if first is None:  # a long file: its first block is looked at and read again
        _, first = next(replace(table, opened=[]).blocks())
    cells = first.split(b"\n", 1)[0].decode("utf-8", "replace").split("\t")
    given = cells[8].split(":") if len(cells) > 8 else []
    keys = [key for key in _KEYS if key in given]
    if not {"ES", "EZ"} & set(keys):
        raise FileFormatError(
            f"is a VCF without effects: FORMAT is {':'.join(given)[:60]!r}, ES or EZ is needed",
            path=table.path,
            line=table.skipped + 1,
        )
    header = ["chrom", "pos", "id", "other_allele", "effect_allele", *(_KEYS[k] for k in keys)]
    cases = "NC" in keys and "SS" in keys
    if cases:
        header.append("n_controls")
    orders: dict[bytes, list[int]] = {}

    def convert(block: bytes, line: int) -> bytes:
        rows = []
        for number, text in enumerate(block.split(b"\n"), start=line):
            cells = text.rstrip(b"\r").split(b"\t")
            if cells == [b""]:
                rows.append(b"")
                continue
            if len(cells) != len(_FIXED) + 1:
                raise FileFormatError(
                    f"{len(cells)} cells, where the header has {len(_FIXED) + 1} columns",
                    path=table.path,
                    line=number,
                    remedy="the file may be truncated",
                )
            order = orders.get(cells[8])
            if order is None:
                has = cells[8].decode("utf-8", "replace").split(":")
                order = [has.index(key) if key in has else -1 for key in keys]
                orders[cells[8]] = order
            values = cells[9].split(b":")
            n = len(values)
            picked = [values[i] if 0 <= i < n and values[i] else b"." for i in order]
            if cases:
                picked.append(_controls(picked[keys.index("SS")], picked[keys.index("NC")]))
            rows.append(b"\t".join((*cells[:5], *picked)))
        return b"\n".join(rows)

    return replace(table, separator="\t", header=tuple(header), convert=convert)


def _controls(total: bytes, cases: bytes) -> bytes:
    """Return SS - NC; what is not a number is left to the parser to refuse."""
    try:
        return repr(float(total) - float(cases)).encode()
    except ValueError:
        return b"."
