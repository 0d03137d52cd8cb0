"""Slow, obvious twins of the fast parts of prs.evaluation."""

from __future__ import annotations

import numpy as np


def auc(score, outcome):
    """Share of (case, control) pairs in which the case scores higher; ties count one half."""
    wins = [
        float(c > d) + 0.5 * float(c == d) for c in score[outcome == 1] for d in score[outcome == 0]
    ]
    return sum(wins) / len(wins)


def delong_covariance(scores, outcome):
    """DeLong et al. 1988, equations 4 to 6, pair by pair."""
    cases, controls = scores[outcome == 1], scores[outcome == 0]
    m, n, k = len(cases), len(controls), scores.shape[1]

    def psi(x, y):
        return 1.0 if y < x else 0.5 if y == x else 0.0

    v10 = np.array(
        [[np.mean([psi(c[r], d[r]) for d in controls]) for r in range(k)] for c in cases]
    )
    v01 = np.array(
        [[np.mean([psi(c[r], d[r]) for c in cases]) for r in range(k)] for d in controls]
    )
    theta = v10.mean(0)
    s10 = (v10 - theta).T @ (v10 - theta) / (m - 1)
    s01 = (v01 - theta).T @ (v01 - theta) / (n - 1)
    return s10 / m + s01 / n


def local_quadratic(x, y, x0, span=0.75):
    """Local quadratic regression at one point by explicit weighted least squares."""
    q = int(np.floor(len(x) * span + 1e-5))
    distance = [abs(xi - x0) for xi in x]
    h = sorted(distance)[q - 1]
    rows, values = [], []
    for xi, yi, d in zip(x, y, distance, strict=True):
        weight = (1 - (d / h) ** 3) ** 3 if d < h else 0.0
        rows.append(np.sqrt(weight) * np.array([1.0, xi - x0, (xi - x0) ** 2]))
        values.append(np.sqrt(weight) * yi)
    coef, *_ = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)
    return coef[0]


def resample_sums(columns, drawn):
    """Column sums of the people drawn, one by one."""
    sums = np.zeros(columns.shape[1])
    for person in drawn:
        sums += columns[person]
    return sums
