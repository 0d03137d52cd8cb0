"""Sections of the study file that say how scores are judged and reported."""

from __future__ import annotations

from typing import Literal

import msgspec

from prs.study.sections import Section

__all__ = ["AbsoluteRisk", "EvaluationSettings", "ReportSettings"]


class AbsoluteRisk(Section, frozen=True):
    """``[evaluation.absolute_risk]``: risks by age, from the user's tables.

    Attributes
    ----------
    incidence : str
        Table with age_from, age_to, rate (per person and year), and perhaps group: incidence of
        the disease.
    mortality : str or None
        The same of death from other causes; without it nobody dies of anything else.
    ages : list of float
        The first is the age at which people are free of the disease, the others those by which
        the risk is given.
    """

    incidence: str
    mortality: str | None = None
    ages: list[float] = msgspec.field(default_factory=lambda: [40.0, 50.0, 60.0, 70.0, 80.0])


class EvaluationSettings(Section, frozen=True):
    """``[evaluation]``: how scores are judged.

    Attributes
    ----------
    prevalence : dict of str to float
        Ancestry -> prevalence of the disease in that population; needed for liability R2.
    reference_ancestry : str or None
        The ancestry against which portability is measured; default: the one with most people.
    cutpoints : str
        Where decile limits come from: "group", "all", "controls" or an ancestry.
    n_bins : int
        Number of risk strata.
    confidence : float
        Level of the intervals.
    case_control : bool
        The sample was taken by case status: risks are weighted to `prevalence`.
    compare_to : str or None
        The score that others are compared with; default: the first.
    horizons : list of float
        Survival: times by which risks are judged, in the unit of the times; the first is that of
        deciles and curves. Default: the median follow-up.
    risk_thresholds : list of float
        Risks at which something would be done: who is reclassified at them is said.
    n_folds : int
        Folds where the cohort has no split.
    n_optimism : int
        Bootstrap samples in which the whole choice is repeated, where the cohort has no split;
        0 for none.
    choose_by : {"everybody", "ancestry"}
        Who chooses a cell of clumping and thresholding, and phi of a grid: all tuning people
        together, which is mostly the largest ancestry; or each ancestry that has at least 100 of
        them, with 50 cases and 50 controls where it is a disease (the others take what everybody
        chose).
    normalise : {"auto", "none", "mean", "mean+variance", "empirical"}
        How scores are put on one scale for all ancestries (`prs.normalise_scores`), for the
        people's table; "auto": mean and variance by principal components, if there are any.
    absolute_risk : AbsoluteRisk or None
        Tables for risks by age.
    """

    prevalence: dict[str, float] = {}
    reference_ancestry: str | None = None
    cutpoints: str = "group"
    n_bins: int = 10
    confidence: float = 0.95
    case_control: bool = False
    compare_to: str | None = None
    horizons: list[float] = []
    risk_thresholds: list[float] = []
    n_folds: int = 5
    n_optimism: int = 50
    choose_by: Literal["everybody", "ancestry"] = "everybody"
    normalise: Literal["auto", "none", "mean", "mean+variance", "empirical"] = "auto"
    absolute_risk: AbsoluteRisk | None = None


class ReportSettings(Section, frozen=True):
    """``[report]``: what only the authors can say.

    Attributes
    ----------
    main_score : str or None
        The score that the first screen is about; default: the last one that is judged.
    intended_use : str
        What the score is for; empty: printed as not stated.
    prs_rs : dict of str to str
        Statements for items of the PRS reporting standard (Wand et al. 2021), by number or name.
    """

    main_score: str | None = None
    intended_use: str = ""
    prs_rs: dict[str, str] = {}
