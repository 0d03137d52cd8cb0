"""Rows of the tables about decisions: reclassification and net benefit, by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from prs.evaluation.cells import Setup
from prs.evaluation.decisions import net_benefit, reclassification
from prs.evaluation.floors import OK, insufficient
from prs.evaluation.risk_models import RiskPredictions

__all__ = ["COVARIATES", "decision_tables"]

Floats = NDArray[np.float64]
Rows = list[dict[str, Any]]

#: The model without a score.
COVARIATES = "covariates only"
_EDGE = 1e-12


def decision_tables(
    setup: Setup,
    group: str,
    predictions: Sequence[RiskPredictions],
    *,
    thresholds: Sequence[float],
    baseline: str,
) -> dict[str, Rows]:
    """Say what scores decide differently in a group: from covariates alone, and from each other.

    Risks are those recalibrated in the group, for every model alike: reclassification rewards
    miscalibration otherwise.

    Parameters
    ----------
    setup : Setup
        With a binary outcome.
    group : str
        Its name.
    predictions : sequence of RiskPredictions
        Of each score.
    thresholds : sequence of float
        Limits of the risk categories for reclassification; none: no reclassification.
    baseline : str
        The score that the others are compared with.

    Returns
    -------
    dict of str to list of dict
        Rows of the tables reclassification and net_benefit.
    """
    data, mask, counts = setup.data, setup.judged(group), setup.counts(group)
    status = setup.status(group)
    prevalence = setup.prevalence.get(group) if setup.case_control else None
    if status == OK and setup.case_control and prevalence is None:
        status = insufficient("no prevalence given for a sample taken by case status")
    pairs = [(name, COVARIATES) for name in data.names]
    pairs += [(name, baseline) for name in data.names if name != baseline]
    head = {"group": group, **counts}
    if status == OK:
        risks = {COVARIATES: predictions[0].covariates_recalibrated[mask]}
        risks |= {
            name: made.recalibrated[mask]
            for name, made in zip(data.names, predictions, strict=True)
        }
        if not all(np.isfinite(risk).all() for risk in risks.values()):
            status = insufficient("no risk model could be fitted")
    if status != OK:
        empty = head | {"status": status}
        moved = [
            empty | {"score": score, "versus": versus, "part": "sum"} for score, versus in pairs
        ]
        return {
            "reclassification": moved if thresholds else [],
            "net_benefit": [empty | {"score": name} for name in data.names],
        }
    outcome = data.outcome[mask]
    if prevalence is not None:
        share = float(outcome.mean())
        shift = logit(prevalence) - logit(share)
        risks = {
            name: expit(logit(np.clip(risk, _EDGE, 1.0 - _EDGE)) + shift)
            for name, risk in risks.items()
        }
    tables: dict[str, Rows] = {"reclassification": [], "net_benefit": []}
    for score, versus in pairs if thresholds else []:
        moved_rows = reclassification(
            risks[versus],
            risks[score],
            outcome,
            cutpoints=thresholds,
            confidence=setup.confidence,
        ).to_dict("records")
        for row in moved_rows:
            row["n_part"] = row.pop("n")
            tables["reclassification"].append(
                head | {str(k): v for k, v in row.items()}
                | {"score": score, "versus": versus, "status": OK,
                   "thresholds": ", ".join(f"{t:g}" for t in thresholds)}
            )  # fmt: skip
    curves = net_benefit(
        risks, outcome, prevalence=prevalence, versus=COVARIATES, confidence=setup.confidence
    )
    for row in curves.to_dict("records"):
        named = {"all": "everybody"}.get(row["model"], row["model"])
        tables["net_benefit"].append(
            head | {str(k): v for k, v in row.items()} | {"score": named, "status": OK}
        )
    return tables
