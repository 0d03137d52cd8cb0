"""`evaluate`: judge scores in each ancestry group and pooled, with intervals.

The driver: who is judged, what is fitted on whom, and which table gets which figure; the
statistics are in the modules beside it. Tables and their exact columns: `prs.evaluation.tables`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prs.cluster import one_blas_thread
from prs.errors import SettingsError
from prs.evaluation.cells import Setup, calibration_tables, decile_tables, describe, judge
from prs.evaluation.decision_cells import decision_tables
from prs.evaluation.floors import Floors
from prs.evaluation.people import EVERYBODY, CohortLike, Data, ScoresLike, gather
from prs.evaluation.portability import MEASURES, Judged, comparison_rows, portability_rows
from prs.evaluation.predict import predict_people, recalibration_methods
from prs.evaluation.result import Evaluation, write_tables
from prs.evaluation.risk_models import (
    NONE,
    RiskPredictions,
)
from prs.evaluation.survival_cells import hazard_calibration_tables, hazard_decile_tables
from prs.evaluation.survival_models import HazardPredictions
from prs.evaluation.tables import COLUMNS, make_frame

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Evaluation", "evaluate", "write_tables"]

logger = logging.getLogger(__name__)

# Below this many events of either kind a group is named in the notes (see `Floors`).
FEW_EVENTS = 100


@one_blas_thread()
def evaluate(
    scores: ScoresLike,
    cohort: CohortLike,
    *,
    by: str | None = "ancestry",
    prevalence: float | Mapping[str, float] | None = None,
    score: Sequence[str] | str | None = None,
    reference_group: str | None = None,
    compare_to: str | None = None,
    n_bins: int = 10,
    cutpoints: str = "group",
    case_control: bool = False,
    sd_of: str = "controls",
    train_on: str | None = None,
    recalibrate: str = "auto",
    min_events: int = 20,
    min_stratum_events: int = 5,
    min_people: int = 50,
    confidence: float = 0.95,
    n_bootstrap: int = 2000,
    n_folds: int = 5,
    seed: int = 0,
    horizons: Sequence[float] | None = None,
    risk_thresholds: Sequence[float] = (),
    client: Client | None = None,
) -> Evaluation:
    """Judge scores: accuracy, calibration and risk by decile, per group and pooled.

    Where the cohort has a split, risk models (and the SD that a score is expressed in) come
    from its tuning people and everything is judged on its test people. Without a split all
    people are judged, and risk models are cross-fitted. R2s of a binary outcome, the odds ratio
    and the slope describe an association among the people judged: those regressions are fitted
    there.

    Parameters
    ----------
    scores : Scores
        N people x S columns. If it has `tuned_on` (ids), none of them may be judged.
    cohort : Cohort
        Outcome, covariates, labels and, perhaps, a split. Matched to scores by id.
    by : str or None
        The label whose values are the groups; None: everybody pooled only.
    prevalence : float or mapping of str to float, optional
        Of the disease in the population: one for all groups, or one each (key "all" for the
        pooled rows). Never guessed: without it there is no R2 on the liability scale.
    score : str or sequence of str, optional
        Columns to judge (default: all).
    reference_group : str, optional
        Denominator of portability (default: the group with most people judged).
    compare_to : str, optional
        The score that others are compared with (default: the first).
    n_bins : int
        Strata of the score ("deciles") and bins of predicted risk; at least 3.
    cutpoints : str
        Whose quantiles cut the score: "group" (its own people), "controls" (its own controls),
        "all" (everybody judged), or the name of a group.
    case_control : bool
        The sample was taken by case status. Risks by decile, and quantiles, are then weighted
        by K/P (cases) and (1 - K)/(1 - P) (controls), which needs `prevalence` K.
    sd_of : {"controls", "everyone", "reference"}
        Whose SD an effect "per SD" is: the group's own controls (binary outcome only), the
        group's own people, or controls (people) of the reference group.
    train_on : str, optional
        Fit the "uncorrected" risk model on one group alone, as when a model made in one
        ancestry is used in others (default: on all).
    recalibrate : {"auto", "intercept", "isotonic", "none"}
        How far groups are recalibrated: see `risk_models.choose_recalibration`.
    min_events, min_stratum_events, min_people : int
        Floors: see `Floors`.
    confidence : float
        Level of all intervals.
    n_bootstrap : int
        Bootstrap samples.
    n_folds : int
        For cross-fitting, where there is no split.
    seed : int
        Of bootstrap and folds.
    horizons : sequence of float, optional
        Times by which risks are judged where the outcome is a time to an event; deciles and
        curves are of the first. Default: the median follow-up of the people judged. They are
        counted from each person's entry, also where the cohort's times are ages (`entry`).
    risk_thresholds : sequence of float
        Limits of risk categories, such as those at which a guideline acts: who is reclassified
        by the score is then said. Binary outcomes.
    client : distributed.Client, optional
        A cluster whose workers bootstrap accuracies and their differences, which is worth the
        way for samples of 100,000 people and more. The figures are the same to the bit.

    Returns
    -------
    Evaluation

    Raises
    ------
    SettingsError
        An argument that makes no sense, or names something that is not there.
    SampleMismatchError, InvalidValueError, OverlappingSamplesError, AncestryDataError
        See `people.gather`.
    """
    settings: dict[str, Any] = {
        "by": by,
        "n_bins": n_bins,
        "cutpoints": cutpoints,
        "case_control": case_control,
        "sd_of": sd_of,
        "train_on": train_on,
        "recalibrate": recalibrate,
        "min_events": min_events,
        "min_stratum_events": min_stratum_events,
        "min_people": min_people,
        "confidence": confidence,
        "n_bootstrap": n_bootstrap,
        "n_folds": n_folds,
        "seed": seed,
    }
    _check_numbers(settings)
    data = gather(scores, cohort, by=by, score=score)
    groups, labels = data.groups, {EVERYBODY, *data.groups}
    reference = reference_group or (groups[0] if groups else EVERYBODY)
    for name, group in (("reference_group", reference), ("train_on", train_on or EVERYBODY)):
        if group not in labels or (group != EVERYBODY and not data.members(group).any()):
            raise SettingsError(
                f"{name} is {group!r}, a group with nobody to judge",
                remedy=f"groups: {', '.join(groups) or 'none'}",
            )
    if cutpoints not in {"group", "controls", *labels}:
        raise SettingsError(
            f"cutpoints is {cutpoints!r}",
            remedy=f"use 'group', 'controls', 'all' or one of {', '.join(groups)}",
        )
    baseline = compare_to or data.names[0]
    if baseline not in data.names:
        raise SettingsError(
            f"compare_to is {baseline!r}", remedy=f"scores: {', '.join(data.names)}"
        )
    if data.kind != "binary":
        # Nobody is a control of a quantitative outcome, or of one that takes time.
        sd_of = settings["sd_of"] = "everyone" if sd_of == "controls" else sd_of
        if case_control or cutpoints == "controls":
            raise SettingsError(f"there are no cases and controls of a {data.kind} outcome")
    setup = Setup(
        data=data,
        floors=Floors(min_events, min_stratum_events, min_people),
        prevalence=_prevalence(prevalence, data),
        reference_group=reference,
        n_bins=n_bins,
        cutpoints=cutpoints,
        case_control=case_control,
        sd_of=sd_of,
        confidence=confidence,
        n_bootstrap=n_bootstrap,
        seed=seed,
        horizons=_horizons(horizons, data),
        client=client,
    )
    settings |= {
        "outcome": cohort.outcome_name,
        "outcome_kind": data.kind,
        "covariates": list(cohort.covariate_names),
        "scores": list(data.names),
        "groups": list(groups),
        "reference_group": reference,
        "compare_to": baseline,
        "prevalence": dict(setup.prevalence),
        "split": data.has_split,
    }
    if setup.horizons:
        settings["horizons"] = list(setup.horizons)
    if risk_thresholds:
        settings["risk_thresholds"] = list(risk_thresholds)
    methods = recalibration_methods(data, recalibrate, n_folds)
    predictions = predict_people(
        data, methods, train_on=train_on, n_folds=n_folds, seed=seed, horizons=setup.horizons
    )
    tables, judged = _tables(setup, predictions, methods, _fitted_on(data, train_on, n_folds))
    by_group = {group: judged[group] for group in groups}
    measures = MEASURES[data.kind]
    if by_group:
        tables["portability"] = portability_rows(
            by_group, data.names, reference, measures, confidence
        )
    tables["comparisons"] = comparison_rows(judged, data.names, baseline, measures, confidence)
    risks = [made for made in predictions if isinstance(made, RiskPredictions)]
    if data.kind == "binary":
        for group in (*groups, EVERYBODY):
            made = decision_tables(
                setup, group, risks, thresholds=risk_thresholds, baseline=baseline
            )
            for table, rows in made.items():
                tables.setdefault(table, []).extend(rows)
    elif risk_thresholds:
        raise SettingsError(f"risk_thresholds are given for a {data.kind} outcome")
    notes = _notes(setup, predictions, prevalence)
    for note in notes:
        logger.info(note)
    return Evaluation(
        **{name: make_frame(data.kind, name, tables.get(name, [])) for name in COLUMNS[data.kind]},
        groups=groups,
        reference_group=reference,
        outcome=cohort.outcome_name,
        outcome_kind=data.kind,
        scores=data.names,
        settings=settings,
        notes=notes,
    )


def _check_numbers(settings: Mapping[str, Any]) -> None:
    for name, least in (("n_bins", 3), ("n_bootstrap", 100), ("n_folds", 2), ("seed", 0)):
        if settings[name] < least:
            raise SettingsError(f"{name} is {settings[name]}; it must be at least {least}")
    if not 0.5 <= settings["confidence"] < 1.0:
        raise SettingsError(
            f"confidence is {settings['confidence']}", remedy="give a share such as 0.95"
        )
    if settings["sd_of"] not in {"controls", "everyone", "reference"}:
        raise SettingsError(
            f"sd_of is {settings['sd_of']!r}", remedy="use 'controls', 'everyone' or 'reference'"
        )


def _prevalence(prevalence: float | Mapping[str, float] | None, data: Data) -> dict[str, float]:
    """Return the population prevalence by group, for the groups that it was given for."""
    if prevalence is None or data.kind != "binary":
        return {}
    if isinstance(prevalence, Mapping):
        unknown = [group for group in prevalence if group not in data.counts]
        if unknown:
            raise SettingsError(
                f"prevalence is given for {', '.join(map(repr, unknown))}, which is no group here",
                remedy=f"groups: {', '.join(data.groups)}, {EVERYBODY}",
            )
        given = {group: float(k) for group, k in prevalence.items()}
    else:
        given = dict.fromkeys([*data.groups, EVERYBODY], float(prevalence))
    for group, k in given.items():
        if not 0.0 < k < 1.0:
            raise SettingsError(
                f"the prevalence of {group} is {k:g}",
                remedy="give a share between 0 and 1 (2 per cent is 0.02)",
            )
    return given


def _horizons(horizons: Sequence[float] | None, data: Data) -> tuple[float, ...]:
    """Return the times by which risks are judged; none where the outcome takes no time."""
    if data.kind != "survival":
        if horizons:
            raise SettingsError(f"horizons are given for a {data.kind} outcome")
        return ()
    judged = data.followed()[data.judged]
    if not horizons:
        return (float(np.median(judged)),)
    for horizon in horizons:
        if not 0.0 < horizon <= judged.max():
            raise SettingsError(
                f"horizon {horizon:g} is not within the follow-up of the people judged",
                remedy=f"their times go to {judged.max():g}, half of them to {np.median(judged):g}",
            )
    return tuple(float(horizon) for horizon in horizons)


def _fitted_on(data: Data, train_on: str | None, n_folds: int) -> str:
    whose = "tuning people" if data.has_split else f"{n_folds}-fold cross-fitting"
    return whose if train_on in {None, EVERYBODY} else f"{whose}, {train_on} only"


def _tables(
    setup: Setup,
    predictions: Sequence[RiskPredictions | HazardPredictions],
    methods: Mapping[str, str],
    fitted_on: str,
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Judged]]:
    """Fill every table but the two that compare; return them and the accuracies."""
    data = setup.data
    names = "accuracy calibration calibration_curve calibration_bins deciles contrasts distribution"
    tables: dict[str, list[dict[str, Any]]] = {t: [] for t in (*names.split(), "histogram")}
    judged: dict[str, Judged] = {}
    accuracy: dict[tuple[str, str], dict[str, Any]] = {}
    recalibrated = any(method != NONE for method in methods.values())
    for group in (*data.groups, EVERYBODY):
        rows, judged[group] = judge(setup, group, predictions)
        accuracy |= {(row["score"], group): row for row in rows}
    for s, name in enumerate(data.names):
        models = ["uncorrected", *(["recalibrated"] if recalibrated else [])]
        risk = predictions[s]
        for group in (*data.groups, EVERYBODY):
            tables["accuracy"].append(accuracy[name, group])
            done = method = methods.get(group, "by group" if group == EVERYBODY else NONE)
            for model in models:
                method = NONE if model == "uncorrected" else done
                if isinstance(risk, HazardPredictions):
                    made = hazard_calibration_tables(setup, group, risk, model)
                else:
                    made = calibration_tables(setup, group, getattr(risk, model))
                tail = {"recalibration": method, "fitted_on": fitted_on}
                for table, made_rows in made.items():
                    label = {"score": name, "group": group, "model": model}
                    extra = tail if table == "calibration" else {}
                    tables[table] += [label | row | extra for row in made_rows]
            by_decile = hazard_decile_tables if data.kind == "survival" else decile_tables
            for table, made_rows in (
                by_decile(setup, group, s) | describe(setup, group, s)
            ).items():
                tables[table] += [{"score": name, "group": group} | row for row in made_rows]
    tables["people"] = [
        {"group": group, **counts, "status": setup.status(group)}
        for group, counts in data.counts.items()
    ]
    return tables, judged


def _notes(
    setup: Setup,
    predictions: Sequence[RiskPredictions | HazardPredictions],
    prevalence: float | Mapping[str, float] | None,
) -> tuple[str, ...]:
    """Say what a reader must know before citing a figure."""
    data, notes, binary = setup.data, [], setup.binary
    counts = data.counts[EVERYBODY]
    lost = {k: v for k, v in counts.items() if k.startswith("n_without") and v}
    if lost:
        words = ", ".join(f"{v:,} {k[2:].replace('_', ' ')}" for k, v in lost.items())
        notes.append(f"Of {counts['n_cohort']:,} people in the cohort were left out: {words}.")
    if not data.has_split:
        notes.append(
            "The cohort has no tuning/test split: risk models are cross-fitted. Scores that were "
            "tuned on these people, and not cross-fitted themselves, look better than they are."
        )
    if data.groups:
        pooled, apart = {
            "binary": ("AUC", "risk"),
            "quantitative": ("R2", "mean"),
            "survival": ("C", "risk"),
        }[data.kind]
        notes.append(
            f"Rows of the group 'all' mix ancestries: a pooled {pooled} also credits a score with "
            f"telling groups of different {apart} apart; regressions there adjust for group."
        )
    if data.has_events:
        few = []
        for group in data.groups:
            n, events = setup.size(group)
            least = min(events, n - events) if data.kind == "binary" else events
            if setup.floors.min_events <= least < FEW_EVENTS:
                few.append(f"{group} ({least:,})")
        if few:
            notes.append(
                f"Fewer than {FEW_EVENTS} {'cases (or controls)' if binary else 'events'}, the "
                f"least usually asked of an external validation: {', '.join(few)}."
            )
    if binary:
        notes += setup.prevalence_notes()
    elif prevalence is not None:
        notes.append(f"A prevalence was given and not used: the outcome is {data.kind}.")
    bad = [
        name
        for name, made in zip(data.names, predictions, strict=True)
        if not np.isfinite(made.uncorrected).all()
    ]
    if bad:
        notes.append(
            f"No risk model could be fitted for {', '.join(bad)}: a covariate or the score "
            "separates cases from controls where the model is fitted."
        )
    return tuple(notes)
