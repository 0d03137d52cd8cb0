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


def concordance_pairs(times, event, risk, entry=None):
    """Each person's comparable pairs and their score, pair by pair."""
    n = len(times)
    entry = np.full(n, -np.inf) if entry is None else entry
    won, number = np.zeros(n), np.zeros(n)
    for i in range(n):
        for j in range(n):
            later = times[j] > times[i] or (times[j] == times[i] and not event[j])
            if i == j or not event[i] or not later or entry[j] >= times[i]:
                continue
            score = 1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0
            for person in (i, j):
                won[person] += score
                number[person] += 1
    return won, number


def at_risk_sums(times, event, weight, entry=None):
    """Breslow's cumulative hazard at everybody's own time, event by event."""
    hazard = np.zeros(len(times))
    entry = np.full(len(times), -np.inf) if entry is None else entry
    for i in range(len(times)):
        for j in range(len(times)):
            if event[j] and times[j] <= times[i]:
                hazard[i] += 1.0 / sum(
                    w for t, e, w in zip(times, entry, weight, strict=True) if e < times[j] <= t
                )
    return hazard


def risk_by(times, event, horizon, entry=None, start=-np.inf):
    """1 - Kaplan-Meier, time by time."""
    left = 1.0
    entry = np.full(len(times), -np.inf) if entry is None else entry
    for t in sorted(set(times[(event == 1) & (times <= horizon) & (times > start)])):
        left *= 1.0 - ((times == t) & (event == 1)).sum() / ((times >= t) & (entry < t)).sum()
    return 1.0 - left
