"""Posterior means of ours beside those of PRScsx.py's own runs, on the same input.

A posterior mean from a chain of finite length has a Monte Carlo error. If two programs sample
one law, a chain of ours differs from a chain of the reference as two chains of the reference
differ from each other: so each figure is given for both kinds of pairs, from runs of one length.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import prs
from prs.weights.csx_dropin import run_like_reference

Floats = NDArray[np.float64]

N_GWAS = {"EUR": 200_000, "AFR": 40_000, "EAS": 100_000}
COMPLEMENT = {"A": "T", "T": "A", "C": "G", "G": "C"}


@dataclass(frozen=True)
class Run:
    """One configuration that PRScsx.py was run with, twice: seeds 1 and 2.

    Attributes
    ----------
    tag : str
        How its files are named.
    populations : tuple of str
    phi : float or None
        None: learned.
    chromosome, n_iter, n_burnin : int
    n_chains : int
        Chains of ours, each a run of its own seed.
    """

    tag: str
    populations: tuple[str, ...]
    phi: float | None = None
    chromosome: int = 21
    n_iter: int = 4000
    n_burnin: int = 1000
    n_chains: int = 3


RUNS = (
    Run("EUR_auto", ("EUR",)),
    Run("EUR_AFR_auto", ("EUR", "AFR")),
    Run("EUR_AFR_phi1e-2", ("EUR", "AFR"), 1e-2),
    Run("EUR_AFR_phi1e-4", ("EUR", "AFR"), 1e-4),
    Run("EUR_AFR_EAS_auto", ("EUR", "AFR", "EAS")),
    Run("bench_EUR_auto", ("EUR",), None, 22, 1000, 500, 1),
    Run("bench_EUR_AFR_auto", ("EUR", "AFR"), None, 22, 1000, 500, 1),
)


@dataclass(frozen=True)
class Chain:
    """Posterior means of one chain and population, on one list of variants and alleles.

    Attributes
    ----------
    mean, sd : ndarray of float64, shape (M,)
        Of standardised effects.
    """

    mean: Floats
    sd: Floats


def read_reference(path: Path, population: str) -> tuple[list[str], list[str], Chain]:
    """Return ids, effect alleles and moments of one chain of PRScsx.py."""
    with np.load(path) as run:
        rows = run[f"idx_{population}"]
        mean = run[f"beta_std_{population}"]
        sd = np.sqrt(np.maximum(run[f"beta_std_sq_{population}"] - mean**2, 0))
        return run["snp"][rows].tolist(), run["a1"][rows].tolist(), Chain(mean, sd)


def on_alleles(
    variants: prs.VariantTable, ids: list[str], alleles: list[str]
) -> tuple[NDArray[np.int64], Floats]:
    """Return the rows of variants by id, and the signs that put effects on the given alleles.

    An allele that is neither of the variant's two is named on the other strand.

    Raises
    ------
    KeyError
        If a variant is not there.
    """
    place = {str(name): row for row, name in enumerate(variants.id)}
    rows = np.array([place[name] for name in ids])
    own = variants.effect_allele[rows]
    pairs = zip(own, alleles, strict=True)
    return rows, np.array([1.0 if a in (b, COMPLEMENT.get(b)) else -1.0 for a, b in pairs])


def fit(folder: Path, run: Run, seed: int, scratch: Path) -> tuple[prs.CsxPosterior, float]:
    """Run ours as PRScsx.py was run, with one chain; return it and its CPU seconds."""
    start = time.process_time()
    made = run_like_reference(
        folder / "panel",
        folder / "target",
        [folder / "sst" / f"{name}.se.txt" for name in run.populations],
        [N_GWAS[name] for name in run.populations],
        run.populations,
        out_dir=scratch,
        out_name=f"{run.tag}_{seed}",
        phi=run.phi,
        n_iter=run.n_iter,
        n_burnin=run.n_burnin,
        chromosomes=[run.chromosome],
        n_chains=1,
        seed=seed,
    )
    return made.posterior, time.process_time() - start


def differ(one: Chain, other: Chain, ld: prs.LDReference) -> tuple[float, float, float]:
    """Return how two chains differ.

    Returns
    -------
    correlation : float
        Of posterior means.
    predictions : float
        Correlation of the two scores in people with this LD, b1'R b2 / sqrt(b1'R b1 b2'R b2).
    rms : float
        Root mean square of the difference of means, in posterior SDs.
    """
    products = np.zeros((2, 2))
    both = np.stack([one.mean, other.mean])
    for here, matrix in ld.blocks(None):
        products += both[:, here] @ matrix.astype(np.float64) @ both[:, here].T
    variance = (one.sd**2 + other.sd**2) / 2
    rms = float(np.sqrt(np.mean((one.mean - other.mean) ** 2 / variance)))
    agreement = products[0, 1] / np.sqrt(products[0, 0] * products[1, 1])
    return float(np.corrcoef(both)[0, 1]), float(agreement), rms


def measure(folder: Path, scratch: Path, *, runs: tuple[Run, ...] = RUNS) -> list[dict[str, Any]]:
    """Return one row a run and population: ours against the reference's, and those among them.

    Parameters
    ----------
    folder : Path
        ``panel/``, ``sst/``, ``target.bim`` and ``out/`` of the reference tool.
    scratch : Path
        Where files are written.
    runs : tuple of Run
        Which ones.

    Returns
    -------
    list of dict
        ``ours_*``: mean over the pairs of a chain of ours and one of theirs; ``theirs_*``: the
        one pair of theirs. ``rms_low`` and ``rms_high``: the extremes over the pairs.
    """
    rows = []
    fit(folder, runs[0], 1, scratch)  # compiles
    for run in runs:
        fits = [fit(folder, run, 100 + k, scratch) for k in range(run.n_chains)]
        for name in run.populations:
            files = [folder / "out" / f"{run.tag}_seed{k}.npz" for k in (1, 2)]
            ids, alleles, first = read_reference(files[0], name)
            theirs = [first, read_reference(files[1], name)[2]]
            panel = prs.open_ld(folder / "panel", population=name, chromosomes=[run.chromosome])
            at, panel_sign = on_alleles(panel.variants, ids, alleles)
            order = np.argsort(at)  # the panel's order
            ld = panel.subset(at[order]).load()
            turn = panel_sign[order]

            def arranged(
                chain: Chain, order: NDArray[np.int64] = order, turn: Floats = turn
            ) -> Chain:
                return Chain(chain.mean[order] * turn, chain.sd[order])

            ours = []
            for posterior, _ in fits:
                k = posterior.populations.index(name)
                rows_, sign = on_alleles(posterior.variants, ids, alleles)
                ours.append(
                    Chain(posterior.beta_mean[k, rows_] * sign, posterior.beta_sd[k, rows_])
                )
            ours = [arranged(chain) for chain in ours]
            theirs = [arranged(chain) for chain in theirs]
            pairs = np.array([differ(a, b, ld) for a, b in product(ours, theirs)])
            own = differ(*theirs, ld)
            rows.append(
                {
                    "run": run.tag,
                    "population": name,
                    "variants": len(ids),
                    "iterations": run.n_iter,
                    "chains": run.n_chains,
                    "ours_correlation": pairs[:, 0].mean(),
                    "theirs_correlation": own[0],
                    "ours_predictions": pairs[:, 1].mean(),
                    "theirs_predictions": own[1],
                    "ours_rms": pairs[:, 2].mean(),
                    "rms_low": pairs[:, 2].min(),
                    "rms_high": pairs[:, 2].max(),
                    "theirs_rms": own[2],
                    "cpu": float(np.mean([cpu for _, cpu in fits])),
                }
            )
    return rows


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows as they are shown, ours and theirs side by side."""
    frame = pd.DataFrame(rows)
    shown = frame[["run", "population", "variants", "iterations"]].copy()
    for column, digits in (("correlation", 4), ("predictions", 4), ("rms", 3)):
        for who in ("ours", "theirs"):
            shown[f"{column}, {who}"] = [f"{v:.{digits}f}" for v in frame[f"{who}_{column}"]]
    shown["rms, ours"] = [
        f"{mean:.3f} ({low:.3f} to {high:.3f})"
        for mean, low, high in frame[["ours_rms", "rms_low", "rms_high"]].to_numpy()
    ]
    return shown
