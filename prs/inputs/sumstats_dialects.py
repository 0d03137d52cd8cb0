"""Summary-statistics dialects: which column of a header plays which role, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prs.errors import ColumnError, FileFormatError

__all__ = ["NUMERIC_ROLES", "ROLES", "ColumnPlan", "plan_columns"]

#: Column names by role, lower case, the preferred one first.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "id": (
        "rsid", "rs_id", "snp", "snpid", "id", "markername", "marker", "marker_name", "rs",
        "rsids", "variant_id", "variant", "varid", "hm_rsid",
    ),
    "chrom": ("chromosome", "chrom", "chr", "chr_name", "hm_chrom"),
    "pos": (
        "base_pair_location", "pos", "position", "bp", "genpos", "base_pair_position", "hm_pos",
    ),
    "beta": (
        "beta", "b", "effect", "effects", "effect_size", "log_odds", "log_or", "logor", "hm_beta",
    ),
    "odds_ratio": ("odds_ratio", "or", "oddsratio", "hm_odds_ratio"),
    "se": (
        "standard_error", "se", "stderr", "std_err", "sebeta", "log(or)_se", "logor_se",
        "se_beta", "beta_se",
    ),
    "z": ("z", "zscore", "z_score", "z_stat", "z-score"),
    "p": (
        "p_value", "p", "pval", "pvalue", "p-value", "p.value", "p_bolt_lmm", "p_val", "p_wald",
        "p_bolt_lmm_inf",
    ),
    "neg_log10_p": (
        "neg_log_10_p_value", "neg_log10_p", "neg_log10_p_value", "log10_p", "log10p", "mlog10p",
        "nlog10p", "minus_log10_p", "neglog10p", "mlogp",
    ),
    "n_eff": ("n_eff", "neff", "effective_n", "n_effective", "effective_sample_size"),
    "n": (
        "n", "obs_ct", "n_total", "total_n", "samplesize", "sample_size", "nobs", "n_samples",
        "weight", "totalsamplesize", "ntot",
    ),
    "n_cases": ("n_cases", "n_case", "ncases", "ncase", "cases", "n_cas", "nca", "num_cases"),
    "n_controls": (
        "n_controls", "n_control", "ncontrols", "ncontrol", "controls", "n_con", "nco",
        "num_controls",
    ),
    "eaf": (
        "effect_allele_frequency", "eaf", "a1_freq", "a1freq", "af1", "freq1", "freq_a1", "freq",
        "frq", "effect_allele_freq", "hm_effect_allele_frequency",
    ),
    "test": ("test",),
}  # fmt: skip

#: (effect allele, other allele) pairs of names; the first pair that a header has is taken.
#: METAL's Allele1, regenie's ALLELE1 and everybody's A1 are the effect allele when paired so.
ALLELE_PAIRS: tuple[tuple[str, str], ...] = (
    ("effect_allele", "other_allele"),
    ("effect_allele", "non_effect_allele"),
    ("effect_allele", "noneffect_allele"),
    ("hm_effect_allele", "hm_other_allele"),
    ("ea", "oa"),
    ("ea", "nea"),
    ("a1", "omitted"),
    ("a1", "a2"),
    ("a1", "a0"),
    ("allele1", "allele2"),
    ("allele1", "allele0"),
    ("eff_allele", "ref_allele"),
)
NUMERIC_ROLES = (
    "pos", "beta", "odds_ratio", "se", "z", "p", "neg_log10_p", "n_eff", "n", "n_cases",
    "n_controls", "eaf",
)  # fmt: skip
#: Every role that a column can be given.
ROLES = (*SYNONYMS, "effect_allele", "other_allele", "ref", "alt")

_HOW = "or say which column is what: --columns ROLE=NAME (columns={...} in Python)"


@dataclass(frozen=True)
class ColumnPlan:
    """What each column of a file is taken for.

    Attributes
    ----------
    dialect : str
        Name of the format: "prs-cs", "plink2-glm", "gwas-ssf", "fastgwa", "ldsc" or "table".
    columns : dict of str to str
        Role to column name, as written in the file.
    notes : tuple of str
        How the effect allele was decided, and what was set aside.
    """

    dialect: str
    columns: Mapping[str, str]
    notes: tuple[str, ...]


def plan_columns(
    header: Sequence[str],
    *,
    path: Path,
    columns: Mapping[str, str] | None = None,
    effect: str = "auto",
) -> ColumnPlan:
    """Decide which column of a header plays which role, by name and never by place.

    Parameters
    ----------
    header : sequence of str
        Column names as written.
    path : Path
        For messages.
    columns : mapping of str to str, optional
        Role to column name, overriding; an empty name says that no column plays this role.
    effect : str
        Name of the effect-allele column, or "auto".

    Raises
    ------
    FileFormatError
        If the first line is data, not a header.
    ColumnError
        If names repeat, a role or column that is named does not exist, or alleles, effect,
        or its precision cannot be told from the header.
    """
    names = _check_header(header, path)
    chosen, ignored = _overrides(columns or {}, names, path)
    for role, synonyms in SYNONYMS.items():
        if role not in chosen and role not in ignored:
            hit = next((names[s] for s in synonyms if s in names), None)
            if hit is not None and hit not in chosen.values():
                chosen[role] = hit
    notes = [f"column {names[n]!r} set aside" for n in names if names[n] in ignored.values()]
    notes.append(_choose_alleles(chosen, names, effect, path))
    if "neg_log10_p" in chosen and "p" in chosen:
        notes.append(f"p from column {chosen.pop('p')!r} set aside for the -log10 one")
    _require(chosen, header, path)
    return ColumnPlan(_dialect(names), chosen, tuple(notes))


def _check_header(header: Sequence[str], path: Path) -> dict[str, str]:
    """Return lower-case name to name as written."""
    for cell in header:
        if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|rs\d+", cell.strip().lower()):
            raise FileFormatError(
                f"the first line has the value {cell!r}: the header is missing",
                path=path,
                line=1,
                rows=[" ".join(header)[:100]],
                remedy="put a line with the column names first, such as SNP A1 A2 BETA SE P N",
            )
    names: dict[str, str] = {}
    for name in header:
        key = name.strip().lower().lstrip("#")
        if key in names:
            raise ColumnError(
                f"the column name {name!r} occurs more than once",
                path=path,
                line=1,
                column=name,
                remedy="rename or remove one of the two",
            )
        names[key] = name
    return names


def _overrides(
    columns: Mapping[str, str], names: Mapping[str, str], path: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the roles that the caller filled, and those that the caller emptied."""
    chosen: dict[str, str] = {}
    ignored: dict[str, str] = {}
    for role, name in columns.items():
        if role not in ROLES:
            raise ColumnError(
                f"{role!r} is not a role that a column can have",
                path=path,
                remedy=f"roles are: {', '.join(ROLES)}",
            )
        if name == "":
            synonyms = SYNONYMS.get(role, (role,))
            ignored[role] = next((names[s] for s in synonyms if s in names), "")
            continue
        chosen[role] = _find(name, names, path)
    return chosen, ignored


def _find(name: str, names: Mapping[str, str], path: Path) -> str:
    exact = [written for written in names.values() if written == name]
    if exact:
        return exact[0]
    key = name.strip().lower().lstrip("#")
    if key in names:
        return names[key]
    raise ColumnError(
        "there is no such column",
        path=path,
        column=name,
        remedy=f"the columns are: {', '.join(names.values())}",
    )


def _choose_alleles(
    chosen: dict[str, str], names: Mapping[str, str], effect: str, path: Path
) -> str:
    """Fill effect_allele and other_allele (or ref and alt); say how it was decided."""
    if effect != "auto":
        chosen["effect_allele"] = _find(effect, names, path)
    if "effect_allele" in chosen:
        of_ref_and_alt = chosen["effect_allele"].lower() == "a1" and {"ref", "alt"} <= names.keys()
        if "other_allele" not in chosen and of_ref_and_alt:
            chosen["ref"], chosen["alt"] = names["ref"], names["alt"]
        elif "other_allele" not in chosen:
            partner = _partner(chosen["effect_allele"], names)
            if partner is None:
                raise ColumnError(
                    f"the effect allele is column {chosen['effect_allele']!r}, but there is no "
                    "column that must be the other allele",
                    path=path,
                    remedy="name it: --columns other_allele=NAME",
                )
            chosen["other_allele"] = partner
        if "eaf" in chosen and chosen["effect_allele"].lower().lstrip("#") in (
            "a2", "allele2", "other_allele", "oa", "nea", "ref", "a0", "allele0",
        ):  # fmt: skip
            # the frequency column of a named table is of the first allele: do not guess
            return (
                f"effect allele: column {chosen['effect_allele']!r}, as asked; frequency column "
                f"{chosen.pop('eaf')!r} not used, since it may be of the other allele"
            )
        return f"effect allele: column {chosen['effect_allele']!r}, as asked"
    if {"allele1", "allele2"} <= names.keys() and names.keys() & {"af_allele2", "ac_allele2"}:
        chosen["effect_allele"], chosen["other_allele"] = names["allele2"], names["allele1"]
        if "af_allele2" in names:
            chosen["eaf"] = names["af_allele2"]
        return "effect allele: column 'Allele2', as in SAIGE's output"
    if {"a1", "ref", "alt"} <= names.keys() and "omitted" not in names:
        chosen["effect_allele"], chosen["ref"], chosen["alt"] = (
            names[n] for n in ("a1", "ref", "alt")
        )
        return (
            "effect allele: column 'A1'; the other allele is the one of REF and ALT that it is not"
        )
    for effect_name, other_name in ALLELE_PAIRS:
        if effect_name in names and other_name in names:
            chosen["effect_allele"] = names[effect_name]
            chosen["other_allele"] = names[other_name]
            return f"effect allele: column {names[effect_name]!r} (with {names[other_name]!r})"
    found = [
        names[n]
        for n in dict.fromkeys(name for pair in ALLELE_PAIRS for name in pair)
        if n in names
    ] + [names[n] for n in ("ref", "alt") if n in names]
    raise ColumnError(
        "the effect allele and the other allele cannot be told from the header"
        + (f" (allele columns: {', '.join(found)})" if found else " (no allele columns)"),
        path=path,
        line=1,
        rows=[" ".join(names.values())[:200]],
        remedy="name both: --columns effect_allele=NAME --columns other_allele=NAME "
        "(columns={...} in Python)",
    )


def _partner(column: str, names: Mapping[str, str]) -> str | None:
    key = column.lower().lstrip("#")
    for first, second in (*ALLELE_PAIRS, ("alt", "ref")):
        for one, other in ((first, second), (second, first)):
            if key == one and other in names:
                return names[other]
    return None


def _require(chosen: Mapping[str, str], header: Sequence[str], path: Path) -> None:
    """Raise if the columns do not say which variant, which effect, and how sure."""
    has = chosen.keys()
    missing: list[str] = []
    if "id" not in has and not {"chrom", "pos"} <= has:
        missing.append("a variant id, or chromosome and position (SNP; CHR and POS)")
    effect = has & {"beta", "odds_ratio", "z"}
    if not effect:
        missing.append("an effect (BETA, OR or Z)")
    if effect and "z" not in has and not has & {"se", "p", "neg_log10_p"}:
        missing.append("a standard error or p-value (SE, P or LOG10_P)")
    if missing:
        raise ColumnError(
            f"no column for {'; nor for '.join(missing)}",
            path=path,
            line=1,
            rows=[" ".join(header)[:200]],
            remedy=f"add the column, {_HOW}",
        )


def _dialect(names: Mapping[str, str]) -> str:
    has = names.keys()
    if {"chrom", "ref", "alt", "a1", "id"} <= has:
        return "plink2-glm"
    if {"chromosome", "base_pair_location", "effect_allele", "other_allele"} <= has:
        return "gwas-ssf"
    if {"chr", "snp", "pos", "a1", "a2", "n", "af1"} <= has:
        return "fastgwa"
    if {"snp", "a1", "a2", "z", "n"} <= has and not has & {"beta", "or"}:
        return "ldsc"
    if {"snp", "a1", "a2"} <= has and has & {"beta", "or"} and has & {"se", "p"}:
        return "prs-cs"
    return "table"
