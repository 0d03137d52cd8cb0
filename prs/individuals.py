"""One person's score: in every posterior draw of the effects, and locus by locus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prs.errors import SettingsError
from prs.inputs.genotypes import Genotypes
from prs.scoring import score
from prs.variants import chromosome_labels
from prs.weights.csx_posterior import CsxPosterior, check_single
from prs.weights.matching import match_weights
from prs.weights.table import Weights

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["combine_draws", "draw_weights", "score_draws", "top_loci"]

META = "META"
#: Draws scored in one pass over the genotypes: what bounds memory.
_COLUMNS = 64
_LOCUS_KB = 1000
#: People from whom the share of a locus in the score's variance is estimated.
_N_SHARE = 500


def draw_weights(
    posterior: CsxPosterior, population: str, *, n_draws: int | None = None
) -> Weights:
    """Return posterior draws of the effects as weights, a column a draw.

    Parameters
    ----------
    posterior : CsxPosterior
        Fitted with ``keep_draws=True``.
    population : str
        One of its populations, or "META": their average with the weights of the META score
        (each variant's inverse posterior variances), in each draw.
    n_draws : int, optional
        Take so many, evenly spread over the chains; default: all.

    Returns
    -------
    Weights
        Per allele; names ``draw_1`` ....

    Raises
    ------
    SettingsError
        If there are no draws, or no such population, or a grid of phi.
    """
    check_single(posterior)
    if posterior.draws is None:
        raise SettingsError(
            "this posterior holds no draws", remedy="fit it with fit_csx(..., keep_draws=True)"
        )
    names = posterior.populations
    if population not in (*names, META):
        raise SettingsError(
            f"no population {population!r} in this posterior",
            remedy=f"there are: {', '.join((*names, META))}",
        )
    n_all = len(posterior.draws[names[0]])
    n_taken = n_all if n_draws is None else min(n_draws, n_all)
    taken = np.linspace(0, n_all - 1, n_taken).round().astype(np.int64)
    scale = np.sqrt(2.0 * posterior.eaf * (1.0 - posterior.eaf))
    there = np.isfinite(posterior.beta_mean) & (scale > 0)
    scale = np.where(there, scale, np.inf)
    share = np.zeros_like(scale)
    if population == META:
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.where(there, (scale / posterior.beta_sd) ** 2, 0.0)
        precision = np.where(np.isfinite(precision), precision, 0.0)
        total = precision.sum(axis=0)
        share = precision / np.where(total > 0.0, total, 1.0)
    else:
        share[names.index(population)] = 1.0
    values = np.zeros((len(posterior.variants), n_taken))
    for k, name in enumerate(names):
        if share[k].any():
            factor = share[k] / scale[k]
            values += posterior.draws[name][taken].T * factor[:, None]
    return Weights(
        posterior.variants,
        values,
        tuple(f"draw_{d + 1}" for d in range(n_taken)),
        posterior.weights(meta=False).eaf,
        {"population": population, "draws": str(n_taken)},
    )


def score_draws(
    genotypes: Genotypes,
    posterior: CsxPosterior,
    *,
    populations: Sequence[str] | None = None,
    n_draws: int | None = 200,
    min_overlap: float = 0.5,
    n_threads: int | None = None,
    client: Client | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Score everybody with each posterior draw of the effects.

    Parameters
    ----------
    genotypes : Genotypes
        People to score.
    posterior : CsxPosterior
        Fitted with ``keep_draws=True``.
    populations : sequence of str, optional
        Whose effects, "META" among them perhaps; default: every population's.
    n_draws : int, optional
        Draws used, evenly spread; None: all. The ends of a 90 per cent interval from 200
        independent draws are good to about a seventh of a posterior SD.
    min_overlap, n_threads, client
        See `prs.scoring.score`.

    Returns
    -------
    dict of str to ndarray of float64, shape (N, D)
        By population; draw d is the same draw in each.
    """
    out: dict[str, NDArray[np.float64]] = {}
    for population in populations or posterior.populations:
        table = draw_weights(posterior, population, n_draws=n_draws)
        parts = [
            score(
                genotypes,
                table.select(table.names[start : start + _COLUMNS]),
                min_overlap=min_overlap,
                n_threads=n_threads,
                client=client,
            ).values
            for start in range(0, table.n_scores, _COLUMNS)
        ]
        out[population] = np.concatenate(parts, axis=1)
    return out


def combine_draws(
    draws: Mapping[str, NDArray[np.float64]],
    table: pd.DataFrame,
    groups: Sequence[str] | NDArray[np.object_],
    *,
    prefix: str = "csx_",
) -> NDArray[np.float64]:
    """Apply a combination of populations' scores to each draw.

    Parameters
    ----------
    draws : mapping of str to ndarray, shape (N, D)
        From `score_draws`.
    table : DataFrame
        ``CombinedScore.table``: group, score (`prefix` + population), coefficient, mean, sd.
    groups : sequence of str, shape (N,)
        Group of each person; one without a fit of its own gets that of "all".
    prefix : str
        What the scores' names have before the population.

    Returns
    -------
    ndarray of float64, shape (N, D)
    """
    labels = np.array([str(g) for g in groups], dtype=object)
    known = set(table["group"].astype(str))
    out = np.zeros_like(next(iter(draws.values())))
    for group in dict.fromkeys(labels):
        here = labels == group
        rows = table[table["group"].astype(str) == (group if group in known else "all")]
        for row in rows.to_dict("records"):
            population = str(row["score"]).removeprefix(prefix)
            if population not in draws:
                population = population.split("_phi")[0]
            if population not in draws:
                raise SettingsError(f"the combination has {row['score']!r}, the draws have not")
            factor = float(row["coefficient"]) / float(row["sd"])
            out[here] += factor * (draws[population][here] - float(row["mean"]))
    return out


def top_loci(
    genotypes: Genotypes,
    weights: Weights,
    *,
    name: str | None = None,
    people: Sequence[str] | None = None,
    n_loci: int = 10,
    locus_kb: float = _LOCUS_KB,
) -> pd.DataFrame:
    """Return the loci that carry a score: of a person, or of these people's variance.

    Parameters
    ----------
    genotypes : Genotypes
        The people; allele frequencies are theirs.
    weights : Weights
        The weights.
    name : str, optional
        Which column; default: the last.
    people : sequence of str, optional
        IIDs of the people to explain. Without them: each locus's share of the variance of the
        score, cov(locus, score) / var(score), from at most 500 people; the shares of all loci
        sum to 1.
    n_loci : int
        How many, the largest first.
    locus_kb : float
        A locus is a window of the genome of this size.

    Returns
    -------
    DataFrame
        IID (with `people`), chrom, start, end, n_variants, lead (the variant that
        contributes most to the variance), then ``contribution``, in the score's unit against
        somebody of average genotype, and ``total`` (the person's sum over all loci); or
        ``share``.

    Raises
    ------
    SettingsError
        If a person or the column is not there.
    """
    table = weights.select(name or weights.names[-1])
    table = table.take(table.weights[:, 0] != 0.0)

    def frequencies(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return genotypes.subset(variants=rows).eaf()

    matched = match_weights(table, genotypes.variants, frequencies)
    view = genotypes.subset(variants=matched.variant)
    eaf = np.nan_to_num(view.eaf(), nan=0.0)
    weight = np.where(matched.is_turned, -1.0, 1.0) * matched.weights[:, 0]
    chrom, pos = view.variants.chrom.astype(np.int64), view.variants.pos.astype(np.int64)
    window = (chrom << 32) + (pos // int(1000 * locus_kb))
    loci, locus = np.unique(window, return_inverse=True)
    if people is None:
        index = np.linspace(0, view.n_samples - 1, min(_N_SHARE, view.n_samples))
        index = np.unique(index.round().astype(np.int64))
    else:
        place = {str(iid): i for i, iid in enumerate(view.samples.iid)}
        unknown = [p for p in people if str(p) not in place]
        if unknown:
            raise SettingsError(
                f"{len(unknown)} people are not in {genotypes.path}", rows=unknown[:5]
            )
        index = np.array([place[str(p)] for p in people], dtype=np.int64)
    part = view.subset(samples=index)
    carried = np.zeros((len(index), len(loci)))
    for block, dosages in part.iter_dosages(2048):
        away = np.nan_to_num(dosages - 2.0 * eaf[block]) * weight[block]
        starts = np.flatnonzero(np.r_[True, np.diff(locus[block]) != 0])
        carried[:, locus[block][starts]] += np.add.reduceat(away, starts, axis=1)
    importance = 2.0 * eaf * (1.0 - eaf) * weight**2
    lead = np.array([], dtype=np.int64)
    order = np.lexsort((-importance, locus))
    lead = order[np.r_[True, np.diff(locus[order]) != 0]]
    described: dict[str, Any] = {
        "chrom": chromosome_labels(chrom[lead].astype(np.int8)),
        "start": np.minimum.reduceat(pos, np.flatnonzero(np.r_[True, np.diff(locus) != 0])),
        "end": np.maximum.reduceat(pos, np.flatnonzero(np.r_[True, np.diff(locus) != 0])),
        "n_variants": np.bincount(locus),
        "lead": view.variants.id[lead],
    }
    frame = pd.DataFrame(described)
    total = carried.sum(axis=1)
    if people is None:
        centred = carried - carried.mean(axis=0)
        variance = float(np.var(total)) * len(total)
        share = centred.T @ (total - total.mean()) / (variance or 1.0)
        best = np.argsort(-share, kind="stable")[:n_loci]
        return frame.iloc[best].assign(share=share[best]).reset_index(drop=True)
    out = []
    for i, person in enumerate(people):
        best = np.argsort(-np.abs(carried[i]), kind="stable")[:n_loci]
        rows = frame.iloc[best].assign(contribution=carried[i, best], total=total[i])
        rows.insert(0, "IID", str(person))
        out.append(rows)
    return pd.concat(out, ignore_index=True)
