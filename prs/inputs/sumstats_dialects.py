"""Summary-statistics dialects: which column of a header plays which role, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prs.errors import ColumnError, FileFormatError

__all__ = ["LEVEL_ROLES", "NUMERIC_ROLES", "ROLES", "ColumnPlan", "plan_columns"]

#: Column names by role, lower case, the preferred one first.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "id": (
        "hm_rsid", "rsid", "rs_id", "snp", "snpid", "id", "markername", "marker", "marker_name",
        "rs", "rsids", "variant_id", "variant", "varid",
    ),
    "chrom": ("hm_chrom", "chromosome", "chrom", "chr", "chr_name"),
    "pos": (
        "hm_pos", "base_pair_location", "pos", "position", "bp", "genpos", "base_pair_position",
    ),
    "beta": (
        "hm_beta", "beta", "b", "effect", "effects", "effect_size", "log_odds", "log_or", "logor",
    ),
    "odds_ratio": ("hm_odds_ratio", "odds_ratio", "or", "oddsratio"),
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
        "weight", "totalsamplesize", "ntot", "nmiss",
    ),
    "n_cases": (
        "n_cases", "n_case", "ncases", "ncase", "cases", "n_cas", "nca", "num_cases", "n.cases",
        "ncas",
    ),
    "n_controls": (
        "n_controls", "n_control", "ncontrols", "ncontrol", "controls", "n_con", "nco",
        "num_controls", "n_ctrl", "n_ctrls", "nctrl", "nctrls", "n.controls", "ncon",
    ),
    "eaf": (
        "hm_effect_allele_frequency", "effect_allele_frequency", "eaf", "a1_freq", "a1freq",
        "af1", "freq1", "freq_a1", "freq", "frq", "effect_allele_freq", "f_u",
    ),
    "info": (
        "info", "imputationinfo", "imputation_info", "info_score", "impinfo", "imp_info",
        "imputation_quality", "minimac_r2", "rsq",
    ),
    "ci_lower": ("hm_ci_lower", "ci_lower", "l95", "ci_lower_95", "lower_ci"),
    "ci_upper": ("hm_ci_upper", "ci_upper", "u95", "ci_upper_95", "upper_ci"),
    "test": ("test",),
}  # fmt: skip

#: (effect allele, other allele) pairs of names; the first pair that a header has is taken.
#: METAL's Allele1, regenie's ALLELE1 and everybody's A1 are the effect allele when paired so.
ALLELE_PAIRS: tuple[tuple[str, str], ...] = (
    ("hm_effect_allele", "hm_other_allele"),
    ("effect_allele", "other_allele"),
    ("effect_allele", "non_effect_allele"),
    ("effect_allele", "noneffect_allele"),
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
    "n_controls", "eaf", "info", "ci_lower", "ci_upper",
)  # fmt: skip
#: Roles whose columns have few distinct cells.
LEVEL_ROLES = ("chrom", "effect_allele", "other_allele", "ref", "alt", "test")
#: Every role that a column can be given.
ROLES = (*SYNONYMS, "effect_allele", "other_allele", "ref", "alt")

_HOW = "or say which column is what: --columns ROLE=NAME (columns={...} in Python)"


@dataclass(frozen=True)
class ColumnPlan:
    """What each column of a file is taken for.

    Attributes
    ----------
    dialect : str
        Name of the format: "prs-cs", "plink1-assoc", "plink2-glm", "regenie", "saige",
        "bolt-lmm", "fastgwa", "metal", "gwas-ssf", "gwas-catalog-harmonised", "gwas-vcf",
        "ldsc" or "table".
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
    need_effect: bool = True,
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
    need_effect : bool
        Whether there must be columns of an effect and its precision, and not p alone.

    Raises
    ------
    FileFormatError
        If the first line is data, not a header.
    ColumnError
        If names repeat, a role or column that is named does not exist, or alleles, effect,
        or its precision cannot be told from the header.
    """
    names = _check_header(header, path)
    all_names = names
    names, catalog = _harmonised_columns(names)
    chosen, ignored = _overrides(columns or {}, all_names, path)
    for role, synonyms in SYNONYMS.items():
        if role not in chosen and role not in ignored:
            hit = next((names[s] for s in synonyms if s in names), None)
            if hit is not None and hit not in chosen.values():
                chosen[role] = hit
    notes = [f"column {names[n]!r} set aside" for n in names if names[n] in ignored.values()]
    notes += catalog
    notes.append(_choose_alleles(chosen, names, effect, path))
    if "neg_log10_p" in chosen and "p" in chosen:
        notes.append(f"p from column {chosen.pop('p')!r} set aside for the -log10 one")
    _require(chosen, header, path, need_effect)
    _refuse_two_roles(chosen, path)
    return ColumnPlan(_dialect(all_names), chosen, tuple(notes))


def _harmonised_columns(names: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Leave out the submitted columns that the Catalog's harmonised ones (hm_) stand for.

    The two are on different builds and alleles: they must not be mixed.
    """
    if not {"hm_chrom", "hm_pos", "hm_effect_allele", "hm_other_allele"} <= names.keys():
        return names, []
    twins = {
        "chromosome", "base_pair_location", "effect_allele", "other_allele", "beta", "odds_ratio",
        "ci_lower", "ci_upper", "effect_allele_frequency", "variant_id", "rsid",
    }  # fmt: skip
    left_out = sorted(n for n in names if n in twins)
    kept = {key: name for key, name in names.items() if key not in twins}
    note = "columns hm_* of the GWAS Catalog's harmonisation (GRCh38)"
    return kept, [note + (f", not {', '.join(left_out)}" if left_out else "")]


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
    alone = next((n for n in ("a1", "effect_allele", "ea") if n in names), None)
    if alone and not names.keys() & {"a2", "ref", "alt", "allele2", "allele0", "a0"}:
        chosen["effect_allele"] = names[alone]
        return (
            f"effect allele: column {names[alone]!r}; the file has no other allele (as PLINK "
            "1.9's .linear and .logistic): it is taken from the reference, where one fits"
        )
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


def _refuse_two_roles(chosen: Mapping[str, str], path: Path) -> None:
    """Raise if one column was given two roles: its cells cannot be both."""
    role_of: dict[str, str] = {}
    for role, name in chosen.items():
        if name in role_of:
            raise ColumnError(
                f"is taken for two roles, {role_of[name]} and {role}",
                path=path,
                column=name,
                remedy=f"name another column for one of them, or none: --columns {role}=",
            )
        role_of[name] = role


def _require(
    chosen: Mapping[str, str], header: Sequence[str], path: Path, need_effect: bool
) -> None:
    """Raise if the columns do not say which variant, which effect, and how sure."""
    has = chosen.keys()
    missing: list[str] = []
    if "id" not in has and not {"chrom", "pos"} <= has:
        missing.append("a variant id, or chromosome and position (SNP; CHR and POS)")
    effect = has & {"beta", "odds_ratio", "z"}
    if not need_effect and has & {"p", "neg_log10_p"}:
        pass
    elif not effect:
        missing.append("an effect (BETA, OR or Z)")
    if (
        effect
        and "z" not in has
        and not (has & {"se", "p", "neg_log10_p"} or {"ci_lower", "ci_upper"} <= has)
    ):
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
    """Return the format's name; it is for the reader, no column depends on it but gwas-ssf's MT."""
    has = names.keys()
    marks: tuple[tuple[str, set[str]], ...] = (
        ("gwas-catalog-harmonised", {"hm_chrom", "hm_pos", "hm_effect_allele"}),
        ("plink2-glm", {"chrom", "ref", "alt", "a1", "id"}),
        ("bolt-lmm", {"snp", "allele1", "allele0", "a1freq"}),
        ("regenie", {"genpos", "allele0", "allele1", "a1freq"}),
        ("saige", {"allele1", "allele2", "af_allele2"}),
        ("gwas-ssf", {"chromosome", "base_pair_location", "effect_allele", "other_allele"}),
        ("fastgwa", {"chr", "snp", "pos", "a1", "a2", "n", "af1"}),
        ("metal", {"markername", "allele1", "allele2"}),
        ("plink1-assoc", {"chr", "snp", "bp", "a1", "a2", "f_a", "f_u"}),
    )
    for dialect, columns in marks:
        if columns <= has:
            return dialect
    if {"snp", "a1", "a2", "z", "n"} <= has and not has & {"beta", "or"}:
        return "ldsc"
    if {"snp", "a1", "a2"} <= has and has & {"beta", "or"} and has & {"se", "p"}:
        return "prs-cs"
    return "table"
