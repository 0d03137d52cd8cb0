"""From one group (and one score) to the rows of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prs.evaluation.accuracy import Accuracy, binary_accuracy, delong, quantitative_accuracy
from prs.evaluation.bootstrap import bootstrap_means, percentile_interval
from prs.evaluation.calibration import calibrate
from prs.evaluation.distribution import distribution_row, histogram_edges, histogram_rows
from prs.evaluation.floors import OK, Floors, insufficient
from prs.evaluation.intervals import wilson_interval
from prs.evaluation.people import EVERYBODY, Data
from prs.evaluation.portability import Judged
from prs.evaluation.risk_models import RiskPredictions
from prs.evaluation.strata import CutPoints, contrast_rows, cut_points, decile_rows, stratify
from prs.evaluation.survival import survival_accuracy
from prs.evaluation.survival_models import HazardPredictions

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Setup", "calibration_tables", "cuts_for", "decile_tables", "describe", "judge"]

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]
Rows = list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Setup:
    """Everything that stays the same from table to table.

    Attributes
    ----------
    data : Data
        The people.
    floors : Floors
        The least that is asked for.
    prevalence : mapping of str to float
        Of the population, by group, where given.
    reference_group : str
        Of portability and, if so set, of the SD.
    n_bins, cutpoints, case_control, sd_of, confidence, n_bootstrap, seed, horizons
        As in `evaluate`.
    client : distributed.Client or None
        The cluster that bootstraps.
    """

    data: Data
    floors: Floors
    prevalence: Mapping[str, float]
    reference_group: str
    n_bins: int
    cutpoints: str
    case_control: bool
    sd_of: str
    confidence: float
    n_bootstrap: int
    seed: int
    horizons: tuple[float, ...] = ()
    client: Client | None = None

    @property
    def binary(self) -> bool:
        """Whether the outcome is 0/1."""
        return self.data.kind == "binary"

    def judged(self, group: str) -> Masks:
        """Return a mask of the people of a group that are judged."""
        return self.data.judged & self.data.members(group)

    def size(self, group: str) -> tuple[int, int]:
        """Return how many people of a group are judged, and events among them (or 0)."""
        outcome = self.data.outcome[self.judged(group)]
        return len(outcome), int(outcome.sum()) if self.data.has_events else 0

    def counts(self, group: str) -> dict[str, Any]:
        """Return the cells `n` and `n_events`."""
        n, events = self.size(group)
        return {"n": n, "n_events": events if self.data.has_events else None}

    def status(self, group: str) -> str:
        """Say whether a group is large enough."""
        return self.floors.group_status(self.data.kind, *self.size(group))

    def case_control_weights(self, group: str) -> tuple[float, float] | None:
        """Return K/P and (1 - K)/(1 - P) of a group; None if K is not known or not needed."""
        n, events = self.size(group)
        k = self.prevalence.get(group)
        if not self.case_control or k is None or not 0 < events < n:
            return None
        return k * n / events, (1.0 - k) * n / (n - events)

    def prevalence_notes(self) -> list[str]:
        """Say where a sample's case share cannot be that of its population."""
        if self.case_control:
            note = (
                "Sampled by case status: risks by decile are weighted to the prevalence given; "
                "predicted risks and their calibration are on the sample's own scale."
            )
            return [note]
        odd = []
        for group, k in self.prevalence.items():
            n, events = self.size(group)
            # 99.9 per cent: rarely by chance in a sample of the population.
            share = wilson_interval(events, n, 0.999)
            if n and not share.lower <= k <= share.upper:
                odd.append(f"{group} ({share.value:.3f} against {k:.3f})")
        if not odd:
            return []
        note = (
            f"Case share of the sample and prevalence given differ in: {', '.join(odd)}. If people "
            "were sampled by case status say so (case_control), else risks are the sample's."
        )
        return [note]


def _unit(setup: Setup, s: int, group: str) -> tuple[float, str]:
    """Return one SD of a score for a group, and whose it is."""
    data = setup.data
    whose = setup.reference_group if setup.sd_of == "reference" else group
    named = f"of {whose}" if whose != EVERYBODY else "of all groups"
    controls = setup.binary and setup.sd_of != "everyone"
    people = data.members(whose) & (data.outcome == 0.0 if controls else True)
    word = "controls" if controls else "people"
    roles = [(data.judged, "judged")]
    if data.has_split:
        roles.insert(0, (data.tuning, "tuning"))
    for mask, role in roles:
        values = data.scores[people & mask, s]
        # An SD from 20 people has a standard error of 16 per cent; fewer and judged people serve.
        if len(values) >= 20 or (role == "judged" and len(values) > 1):
            return float(values.std(ddof=1)), f"{word} {named}, {role}"
    return np.nan, f"{word} {named}"


def _adjusted_covariates(data: Data, mask: Masks, group: str) -> Floats:
    """Return covariates; pooled, with an indicator for each group."""
    covariates = data.covariates[mask]
    if group != EVERYBODY or len(data.groups) < 2:
        return covariates
    indicators = np.column_stack([data.group[mask] == g for g in data.groups[1:]])
    return np.column_stack([covariates, indicators.astype(np.float64)])


def judge(
    setup: Setup, group: str, predictions: Sequence[RiskPredictions | HazardPredictions]
) -> tuple[Rows, Judged]:
    """Judge the accuracy of every score in a group.

    Parameters
    ----------
    setup : Setup
        What stays the same.
    group : str
        Its name.
    predictions : sequence of RiskPredictions
        Of each score, for all of `setup.data`.

    Returns
    -------
    rows : list of dict
        Of the accuracy table.
    judged : Judged
        For the tables that compare.
    """
    data, mask, counts = setup.data, setup.judged(group), setup.counts(group)
    common = {"group": group, **counts}
    n, events = setup.size(group)
    if setup.binary and n:
        common |= {"sample_prevalence": events / n}
    if group in setup.prevalence:
        common["prevalence"] = setup.prevalence[group]
    status = setup.status(group)
    rows: Rows = []
    made: dict[str, Accuracy] = {}
    for s, name in enumerate(data.names):
        row: dict[str, Any] = {"score": name} | common
        row["sd"], row["sd_of"] = _unit(setup, s, group)
        if status != OK:
            made[name] = Accuracy({}, status)
        elif not row["sd"] > 0.0:
            made[name] = Accuracy({}, insufficient(f"the score does not vary in {row['sd_of']}"))
        else:
            made[name] = _accuracy(setup, group, mask, s, predictions[s], row["sd"])
        rows.append(row | made[name].cells | {"status": made[name].status})

    figures, replicates = _bootstrap(setup, group, mask, made)
    for row in rows:
        name = row["score"]
        for figure, value in figures.get(name, {}).items():
            # These have intervals of their own; their replicates serve comparisons only.
            if figure not in ("auc", "c"):
                interval = percentile_interval(value, replicates[name][figure], setup.confidence)
                row |= interval.named(figure)
    order = tuple(figures)
    roc = None
    if setup.binary and order:
        columns = [data.names.index(name) for name in order]
        roc = delong(data.scores[mask][:, columns], data.outcome[mask])
    statuses = {name: accuracy.status for name, accuracy in made.items()}
    return rows, Judged(counts, statuses, figures, replicates, roc, order)


def _accuracy(
    setup: Setup,
    group: str,
    mask: Masks,
    s: int,
    risk: RiskPredictions | HazardPredictions,
    sd: float,
) -> Accuracy:
    data = setup.data
    people = (data.outcome[mask], data.scores[mask, s], _adjusted_covariates(data, mask, group))
    null, full = risk.covariates[mask], risk.uncorrected[mask]
    has_covariates = data.covariates.shape[1] > 0 and np.isfinite(null).all()
    if data.kind == "survival":
        return survival_accuracy(
            data.times()[mask],
            *people,
            predicted_covariates=null if has_covariates else None,
            predicted_full=full if np.isfinite(full).all() else None,
            sd=sd,
            confidence=setup.confidence,
            entry=data.entries(mask),
        )
    if not setup.binary:
        return quantitative_accuracy(
            *people,
            predicted_covariates=null,
            predicted_full=full,
            sd=sd,
            confidence=setup.confidence,
        )
    return binary_accuracy(
        *people,
        predicted_covariates=null if has_covariates else None,
        predicted_full=full if np.isfinite(full).all() else None,
        sd=sd,
        prevalence=setup.prevalence.get(group),
        confidence=setup.confidence,
    )


def _bootstrap(
    setup: Setup, group: str, mask: Masks, made: Mapping[str, Accuracy]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, Floats]]]:
    """Resample a group's people once, for all scores, within group and case status."""
    data = setup.data
    parts = {
        name: (a.contributions, a.statistics)
        for name, a in made.items()
        if a.contributions is not None and a.statistics is not None
    }
    if not parts:
        return {}, {}
    _, strata = np.unique(data.group[mask].astype(str), return_inverse=True)
    if setup.binary:
        strata = 2 * strata + data.outcome[mask].astype(np.int64)
    means = bootstrap_means(
        np.column_stack([contributions for contributions, _ in parts.values()]),
        strata.astype(np.int64),
        n_bootstrap=setup.n_bootstrap,
        seed=setup.seed,
        stage=(1, (*data.groups, EVERYBODY).index(group)),
        client=setup.client,
    )
    figures, replicates, start = {}, {}, 0
    for name, (contributions, statistics) in parts.items():
        stop = start + contributions.shape[1]
        whole = statistics(contributions.mean(0))
        figures[name] = {figure: float(value) for figure, value in whole.items()}
        replicates[name] = statistics(means[:, start:stop])
        start = stop
    return figures, replicates


def calibration_tables(setup: Setup, group: str, predicted: Floats) -> dict[str, Rows]:
    """Judge one model's predictions in a group.

    Parameters
    ----------
    setup : Setup
        What stays the same.
    group : str
        Its name.
    predicted : ndarray of float64, shape (N,)
        Risks (or means) of all of `setup.data`.

    Returns
    -------
    dict of str to list of dict
        Rows of the tables calibration, calibration_curve and calibration_bins.
    """
    data, mask, counts = setup.data, setup.judged(group), setup.counts(group)
    fit = data.outcome[data.members(group) & data.tuning]
    row: dict[str, Any] = counts | {"n_fit": len(fit), "status": setup.status(group)}
    if setup.binary:
        row["n_fit_events"] = int(fit.sum())
    values = predicted[mask]
    if row["status"] == OK and not np.isfinite(values).all():
        row["status"] = insufficient("no risk model could be fitted")
    nothing: Rows = [counts | {"status": row["status"]}]
    if row["status"] != OK:
        return {"calibration": [row], "calibration_curve": nothing, "calibration_bins": nothing}
    cells, curve, bins = calibrate(
        values,
        data.outcome[mask],
        binary=setup.binary,
        n_bins=setup.n_bins,
        confidence=setup.confidence,
        seed=setup.seed,
    )
    if curve is None:
        points: Rows = [counts | {"status": insufficient("every prediction is the same")}]
    else:
        columns = (curve.predicted, curve.observed, curve.lower, curve.upper)
        points = [
            counts | {"predicted": p, "observed": o, "lower": low, "upper": high, "status": OK}
            for p, o, low, high in zip(*columns, strict=True)
        ]
    return {
        "calibration": [row | cells],
        "calibration_curve": points,
        "calibration_bins": [b | {"status": OK} for b in bins],
    }


def cuts_for(setup: Setup, group: str, s: int) -> CutPoints | None:
    """Return the cut points of a score for a group; None if there is nobody to take them from."""
    data = setup.data
    whose = group if setup.cutpoints in {"group", "controls"} else setup.cutpoints
    mask = setup.judged(whose)
    source = "everybody judged" if whose == EVERYBODY else whose
    weights: Floats | None = None
    if setup.cutpoints == "controls":
        mask, source = mask & (data.outcome == 0.0), f"controls of {source}"
    else:
        pair = setup.case_control_weights(whose)
        if pair is not None:
            weights = np.where(data.outcome[mask] == 1.0, *pair)
    if not mask.any():
        return None
    return cut_points(data.scores[mask, s], setup.n_bins, source, weights)


def decile_tables(setup: Setup, group: str, s: int) -> dict[str, Rows]:
    """Make a group's rows of the tables deciles and contrasts for score number `s`."""
    data, mask = setup.data, setup.judged(group)
    counts, status = setup.counts(group), setup.status(group)
    weights = setup.case_control_weights(group)
    if status == OK and setup.case_control and weights is None:
        status = insufficient("no prevalence given for a sample taken by case status")
    cuts = cuts_for(setup, group, s) if status == OK else None
    if status == OK and cuts is None:
        status = insufficient("nobody to take cut points from")
    if cuts is None:
        row = counts | {"status": status, "case_control": setup.case_control}
        names = ("top vs bottom", "top vs middle", "top vs rest", "trend")
        return {"deciles": [row], "contrasts": [row | {"contrast": name} for name in names]}
    strata = stratify(data.kind, data.outcome[mask], data.scores[mask, s], cuts, weights)
    return {
        "deciles": decile_rows(strata, setup.floors, setup.confidence),
        "contrasts": contrast_rows(strata, setup.floors, setup.confidence),
    }


def describe(setup: Setup, group: str, s: int) -> dict[str, Rows]:
    """Make a group's rows of the tables distribution and histogram for score number `s`."""
    data, mask = setup.data, setup.judged(group)
    reference = data.scores[setup.judged(setup.reference_group), s]
    centre, scale = float(reference.mean()), float(reference.std())
    edges = histogram_edges(data.scores[data.judged, s])
    parts = {"all": mask}
    if setup.binary:
        parts |= {"cases": mask & (data.outcome == 1.0), "controls": mask & (data.outcome == 0.0)}
    tables: dict[str, Rows] = {"distribution": [], "histogram": []}
    for part, people in parts.items():
        values = data.scores[people, s]
        label: dict[str, Any] = {"part": part}
        if setup.binary:
            label["n_events"] = int(data.outcome[people].sum())
        tables["distribution"].append(label | distribution_row(values, centre, scale))
        tables["histogram"] += [label | row for row in histogram_rows(values, edges)]
    return tables
