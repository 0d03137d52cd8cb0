"""Which cell of clumping and thresholding predicts best, as PRSice reports it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, log_expit
from scipy.stats import norm
from scipy.stats import t as student

from prs.cluster import one_blas_thread
from prs.errors import SettingsError
from prs.files import write_table
from prs.inputs.cohort import Cohort
from prs.survival.cox import fit_cox, log_partial_likelihood
from prs.weights.combine import tuning_people
from prs.weights.score_table import Scores

__all__ = ["ThresholdFit", "fit_thresholds", "quantile_effects", "write_threshold_fit"]

_CELL = re.compile(r"^(?P<set>.*)_r2_(?P<r2>[^_]+)_kb_(?P<kb>[^_]+)_p_(?P<p>[^_]+)$")
#: Permuted outcomes that are held at once.
_BATCH = 64
_NEWTON_STEPS = 50


@dataclass(frozen=True, eq=False)
class ThresholdFit:
    """Every cell's fit among tuning people, and the best of them.

    Attributes
    ----------
    table : DataFrame
        One row a cell, in the order of the scores: Set, r2, kb, Threshold (NaN where the name
        does not say), R2 (of the score over the covariates), P, Coefficient, Standard.Error,
        Num_SNP, score.
    summary : DataFrame
        One row, of the best cell: Phenotype, Set, Threshold, PRS.R2, Full.R2, Null.R2,
        Coefficient, Standard.Error, P, Num_SNP, Empirical.P (NaN without permutations), N.
    best : str
        The score with the largest R2.
    scores : Scores
        Everybody's scores, of all the cells.
    tuning_ids : ndarray of object (str)
        People who chose; they may not judge the score.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    best: str
    scores: Scores
    tuning_ids: NDArray[np.object_]


@one_blas_thread()
def fit_thresholds(
    scores: Scores,
    cohort: Cohort,
    columns: Sequence[str] | None = None,
    *,
    n_permutations: int = 0,
    seed: int = 1,
) -> ThresholdFit:
    """Regress the outcome on each cell's score, and take the one with the largest R2.

    Only tuning people are used. R2 is that of the linear model, Nagelkerke's for a binary
    outcome (logistic model), and 1 - exp(-2 LR / events) for a time to an event, LR the log
    partial likelihood of the Cox model over that without predictors (O'Quigley et al. 2005, Stat
    Med 24:479); each as 1 - (1 - full) / (1 - null), where the null model has the covariates
    alone. The best of many cells looks better than it is among those who chose it:
    judge it on test people, or by its empirical p: the share of permutations of the outcome, the
    unpermuted one among them, in which the best of all cells has a t as large (Choi &
    O'Reilly 2019; t of the linear model, covariates by Freedman & Lane 1983; of a time to an
    event its martingale residuals are permuted).

    Parameters
    ----------
    scores : Scores
        Of the cells; names as `clump_and_threshold` makes them.
    cohort : Cohort
        With tuning people.
    columns : sequence of str, optional
        The cells; default: all the scores.
    n_permutations : int
        0: no empirical p.
    seed : int
        Seed of the permutations.

    Returns
    -------
    ThresholdFit

    Raises
    ------
    SettingsError
        If nobody tunes or no score varies.
    SampleMismatchError
        If tuning people have no score.
    """
    chosen = scores.select(tuple(columns) if columns is not None else scores.names)
    tuning, X = tuning_people(chosen, cohort)
    design = np.column_stack([np.ones(tuning.n), tuning.covariates])
    y = tuning.linear_target
    residual = X - design @ np.linalg.lstsq(design, X, rcond=None)[0]
    varies = residual.std(axis=0) > 1e-9 * np.maximum(np.abs(X).max(axis=0), 1e-300)
    if not varies.any():
        raise SettingsError("no score varies among the tuning people")
    null_r2 = _fit(design, tuning)[2]
    rows = []
    for s, name in enumerate(chosen.names):
        cell = _CELL.match(name)
        row = {
            "Set": cell["set"] if cell else name,
            "r2": float(cell["r2"]) if cell else np.nan,
            "kb": float(cell["kb"]) if cell else np.nan,
            "Threshold": float(cell["p"]) if cell else np.nan,
        }
        beta = se = p = full = np.nan
        if varies[s]:
            fit = _fit(np.column_stack([design, X[:, s]]), tuning)
            beta, se, full = fit[0][-1], fit[1][-1], fit[2]
            dof = tuning.n - design.shape[1] - 1
            exact = tuning.outcome_kind == "quantitative"
            p = 2 * (student.sf(abs(beta / se), dof) if exact else norm.sf(abs(beta / se)))
        row |= {
            "R2": 1 - (1 - full) / (1 - null_r2),
            "P": p,
            "Coefficient": beta,
            "Standard.Error": se,
            "Num_SNP": int(chosen.n_used[s]),
            "score": name,
            "full": full,
        }
        rows.append(row)
    table = pd.DataFrame(rows)
    at = int(np.nanargmax(table["R2"]))
    empirical = np.nan
    if n_permutations > 0:
        empirical = _permute(residual[:, varies], y, design, n_permutations, seed)
    best = table.iloc[at]
    summary = pd.DataFrame(
        {
            "Phenotype": [tuning.outcome_name],
            "Set": best["Set"],
            "Threshold": best["Threshold"],
            "PRS.R2": best["R2"],
            "Full.R2": best["full"],
            "Null.R2": null_r2,
            "Coefficient": best["Coefficient"],
            "Standard.Error": best["Standard.Error"],
            "P": best["P"],
            "Num_SNP": best["Num_SNP"],
            "Empirical.P": empirical,
            "N": tuning.n,
            "score": best["score"],
        }
    )
    return ThresholdFit(table.drop(columns="full"), summary, str(best["score"]), chosen, tuning.ids)


def write_threshold_fit(fit: ThresholdFit, prefix: str | Path) -> list[Path]:
    """Write ``.prsice`` (every cell), ``.summary`` (the best), ``.best`` and ``.all_score``.

    The columns that PRSice-2 has have its names; ``.best`` says in In_Regression who tuned.

    Returns
    -------
    list of Path
        The files.
    """
    people = pd.DataFrame({"FID": fit.scores.samples.fid, "IID": fit.scores.samples.iid})
    tuned = np.isin(fit.scores.samples.iid.astype(str), fit.tuning_ids.astype(str))
    best = people.assign(
        In_Regression=np.where(tuned, "Yes", "No"), PRS=fit.scores.select(fit.best).values[:, 0]
    )
    values = pd.DataFrame(fit.scores.values, columns=list(fit.scores.names))
    tables = {
        "prsice": fit.table,
        "summary": fit.summary,
        "best": best,
        "all_score": pd.concat([people, values], axis=1),
    }
    return [write_table(table, f"{prefix}.{name}") for name, table in tables.items()]


def quantile_effects(
    values: NDArray[np.float64], people: Cohort, *, n_quantiles: int = 10
) -> pd.DataFrame:
    """Compare people in each quantile of a score with those in the middle one, as PRSice's plot.

    Parameters
    ----------
    values : ndarray of float64, shape (N,)
        The score of each person.
    people : Cohort
        The N people; not those who chose the score.
    n_quantiles : int
        Number of quantiles; fewer where many people have one score.

    Returns
    -------
    DataFrame
        One row a quantile: quantile, n, n_cases (NaN where quantitative), is_reference (the
        middle, the lower of two), effect with lower and upper (95 %): odds ratio, hazard ratio,
        or difference in the outcome; from one model with the covariates. NaN where a quantile
        has no case (event) or no control.

    Raises
    ------
    SettingsError
        If there are fewer than 2 quantiles or twice as many people.
    """
    if n_quantiles < 2 or people.n < 2 * n_quantiles:
        raise SettingsError(f"{n_quantiles} quantiles of {people.n:,} people cannot be compared")
    # limits are scores of people: no quantile is empty, whatever the ties
    last = -(-people.n * np.arange(1, n_quantiles) // n_quantiles) - 1
    edges = np.unique(np.sort(values)[last])
    edges = edges[edges < values.max()]
    place = np.searchsorted(edges, values, side="left")
    n_groups = len(edges) + 1
    binary = people.outcome_kind != "quantitative"
    n = np.bincount(place, minlength=n_groups)
    n_cases = np.bincount(place, weights=people.outcome == 1, minlength=n_groups)
    known = (n > 0) & ((n_cases > 0) & (n_cases < n) if binary else True)
    reference = (n_groups - 1) // 2
    others = np.flatnonzero(known & (np.arange(n_groups) != reference))
    table = pd.DataFrame(
        {
            "quantile": np.arange(1, n_groups + 1),
            "n": n,
            "n_cases": n_cases if binary else np.nan,
            "is_reference": np.arange(n_groups) == reference,
            "effect": np.nan,
            "lower": np.nan,
            "upper": np.nan,
        }
    )
    if not known[reference]:
        return table
    kept = known[place]
    member = place[kept, None] == others
    design = np.column_stack([np.ones(int(kept.sum())), people.covariates[kept], member])
    beta, se, _ = _fit(design, people.take(kept))
    beta, se = beta[len(beta) - len(others) :], se[len(se) - len(others) :]
    scale = np.exp if binary else np.asarray
    table.loc[reference, ["effect", "lower", "upper"]] = 1.0 if binary else 0.0
    z = norm.isf(0.025)
    table.loc[others, "effect"] = scale(beta)
    table.loc[others, "lower"] = scale(beta - z * se)
    table.loc[others, "upper"] = scale(beta + z * se)
    return table


def _fit(
    design: NDArray[np.float64], people: Cohort
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return coefficients, standard errors and R2 of the outcome's model; column 0 is ones."""
    if people.outcome_kind == "survival" and people.time is not None:
        return _cox(design, people.time, people.outcome, people.entry)
    return (_logistic if people.outcome_kind == "binary" else _linear)(design, people.outcome)


def _cox(
    design: NDArray[np.float64],
    time: NDArray[np.float64],
    event: NDArray[np.float64],
    entry: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return log hazard ratios, standard errors (NaN of the intercept) and R2 of a Cox model."""
    beta, se = np.full((2, design.shape[1]), np.nan)
    centred = design - design.mean(axis=0)
    # columns that add something to those before them
    r = np.abs(np.diagonal(np.linalg.qr(centred / np.maximum(centred.std(axis=0), 1e-300))[1]))
    used = np.flatnonzero(r > 1e-9 * np.sqrt(len(design)))
    if len(used) == 0:
        return beta, se, 0.0
    fit = fit_cox(design[:, used], time, event, entry=entry)
    if not fit.converged:
        return beta, se, np.nan
    beta[used], se[used] = fit.coef, fit.se
    alone = log_partial_likelihood(np.zeros(len(time)), time, event, entry=entry)
    return beta, se, float(-np.expm1(-2 * (fit.log_likelihood - alone) / event.sum()))


def _linear(
    design: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return coefficients, standard errors and R2 of a linear model."""
    beta, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = y - design @ beta
    total = float(np.sum((y - y.mean()) ** 2))
    variance = float(residual @ residual) / max(len(y) - design.shape[1], 1)
    se: NDArray[np.float64] = np.sqrt(np.diagonal(np.linalg.pinv(design.T @ design)) * variance)
    return np.asarray(beta, dtype=np.float64), se, 1 - float(residual @ residual) / total


def _logistic(
    design: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Return coefficients, standard errors and Nagelkerke's R2 of a logistic model."""
    # on scaled columns, for the sake of Newton's steps
    scale = np.maximum(np.abs(design).max(axis=0), 1e-300)
    Z = design / scale
    beta = np.zeros(Z.shape[1])
    information = np.eye(len(beta))
    for _ in range(_NEWTON_STEPS):
        p = expit(Z @ beta)
        information = (Z * (p * (1 - p))[:, None]).T @ Z
        step = np.linalg.lstsq(information, Z.T @ (y - p), rcond=None)[0]
        size = np.abs(step).max()
        beta += step * min(1.0, 5.0 / size) if size > 0 else 0.0
        if size < 1e-10 * (1 + np.abs(beta).max()):
            break
    linear = Z @ beta
    log_likelihood = float(np.sum(np.where(y == 1, log_expit(linear), log_expit(-linear))))
    share = y.mean()
    alone = len(y) * float(share * np.log(share) + (1 - share) * np.log(1 - share))
    nagelkerke = -np.expm1(2 * (alone - log_likelihood) / len(y)) / -np.expm1(2 * alone / len(y))
    se = np.sqrt(np.diagonal(np.linalg.pinv(information)))
    return beta / scale, se / scale, float(nagelkerke)


def _permute(
    residual: NDArray[np.float64],
    y: NDArray[np.float64],
    design: NDArray[np.float64],
    n_permutations: int,
    seed: int,
) -> float:
    """Return the share of permutations whose best cell fits as well as the observed best."""
    basis = np.linalg.qr(design)[0]
    X = residual / np.linalg.norm(residual, axis=0)

    def largest(outcomes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the largest |correlation|, which orders as the largest |t| does."""
        rest = outcomes - basis @ (basis.T @ outcomes)
        return np.abs(X.T @ (rest / np.linalg.norm(rest, axis=0))).max(axis=0)

    own = y - basis @ (basis.T @ y)
    observed = largest(own[:, None])[0]
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    n_above = 0
    for start in range(0, n_permutations, _BATCH):
        n = min(_BATCH, n_permutations - start)
        permuted = np.stack([rng.permutation(own) for _ in range(n)], axis=1)
        n_above += int(np.count_nonzero(largest(permuted) >= observed))
    return (n_above + 1) / (n_permutations + 1)
