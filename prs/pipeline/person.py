"""What a study's results say of one person, in words."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from prs.errors import SettingsError
from prs.evaluation.floors import OK
from prs.evaluation.uncertainty import person_sentence
from prs.individuals import top_loci
from prs.study import read_study
from prs.weights.table import read_weights

__all__ = ["describe_person"]


def describe_person(path: str | Path, person: str, *, n_loci: int = 5) -> str:
    """Say what is known of one person's score after a study was run.

    Parameters
    ----------
    path : str or Path
        The study file.
    person : str
        Individual id.
    n_loci : int
        How many of the loci that move this person's score most are listed; 0 for none.

    Returns
    -------
    str
        Lines: score, percentile and risk with their credible intervals; the same on one scale
        for all ancestries; risk between two ages; distance from the GWAS's populations; loci;
        and when none of it is to be believed.

    Raises
    ------
    SettingsError
        If the study has no results about people, or there is no such person.
    """
    study = read_study(path)
    folder = study.out_folder / "uncertainty"

    def table(name: str, where: Path = folder) -> pd.DataFrame | None:
        file = where / f"{name}.tsv"
        if not file.is_file():
            return None
        return pd.read_csv(file, sep="\t", dtype={"IID": str, "group": str})

    def row_of(frame: pd.DataFrame | None) -> dict[str, object] | None:
        found = None if frame is None else frame[frame["IID"] == str(person)]
        if found is None or found.empty:
            return None
        return {str(k): v for k, v in found.iloc[0].to_dict().items()}

    people, groups = table("people"), table("groups")
    if people is None or groups is None or groups.empty:
        raise SettingsError(
            f"{study.path}: there are no results about people in {folder}",
            remedy="run the study first (prs run), with [methods.csx] and draws",
        )
    row = row_of(people)
    if row is None:
        raise SettingsError(f"{study.path}: no person {person!r} was scored")
    level, top = float(groups["level"].iloc[0]), float(groups["top"].iloc[0])
    lines = [f"{groups['score'].iloc[0]}, {person_sentence(row, level=level, top=top)}"]
    one = row_of(table("normalised"))
    if one is not None and one["status"] == OK:
        lines.append(
            "On one scale for all ancestries: percentile {:.0f} among everybody "
            "({:.0f} to {:.0f}); probability of being in the top {:.0%}: {:.2f}.".format(
                *(100 * float(str(one[f"percentile{end}"])) for end in ("", "_lower", "_upper")),
                top,
                float(str(one["p_top"])),
            )
        )
    aged = row_of(table("absolute_risk"))
    if aged is not None and aged["status"] == OK:
        lines.append(
            "Risk from age {:g} to {:g}: {:.1%} ({:.1%} to {:.1%}).".format(
                *(
                    float(str(aged[c]))
                    for c in ("age_from", "age_to", "risk", "risk_lower", "risk_upper")
                )
            )
        )
    elif aged is not None:
        lines.append(f"Risk by age: {aged['status']}.")
    place = row_of(table("people", study.out_folder / "ancestry"))
    if place is not None:
        away = ", ".join(
            f"{name} {float(str(place[f'distance_{name}'])):.1f}" for name in study.populations
        )
        lines.append(
            f"Genetic distance from the GWAS populations: {away}; most like {place['nearest']}."
        )
    notes = table("notes")
    if notes is not None:
        lines += [str(note) for note in notes["note"].dropna()]
    if n_loci:
        name = str(groups["score"].iloc[0])
        made = [file.stem for file in (study.out_folder / "weights").glob("*.tsv")]
        stem = max((s for s in made if name == s or name.startswith(f"{s}_")), key=len)
        weights = read_weights(study.out_folder / "weights" / f"{stem}.tsv")
        loci = top_loci(study.open_target(), weights, people=[person], n_loci=n_loci)
        shown = loci[["chrom", "start", "end", "lead", "contribution"]]
        lines.append(
            "Loci that move this score most, against somebody of average genotype "
            f"(all together {loci['total'].iloc[0]:.3g}, column {weights.names[-1]}):"
        )
        lines.append(shown.to_string(index=False, float_format="%.4g"))
    return "\n".join(lines)
