"""PRS-CS and PRS-CSx: posterior effects under continuous shrinkage, with one population or more.

The model is that of Ge et al. 2019 (Nat Commun 10:1776) and Ruan et al. 2022 (Nat Genet 54:573).
On the standardised scale, for population k with GWAS size N_k, marginal effects b_k and LD R_k::

    b_k | beta_k ~ N(R_k beta_k, sigma_k R_k / N_k)
    beta_jk | psi_j, sigma_k ~ N(0, sigma_k psi_j / N_k)      psi_j shared by the populations
    psi_j ~ Gamma(a, rate delta_j),  delta_j ~ Gamma(b, rate phi)
    p(sigma_k) ~ 1 / sigma_k
    phi fixed, or sqrt(phi) ~ half-Cauchy(0, 1)

**target="posterior"** (the default) samples the posterior with this density, and nothing else::

    prod_k sigma_k^-(N_k + p_k + 2)/2 exp(-N_k/(2 sigma_k) (1 - 2 beta_k'b_k + beta_k'R_k beta_k
                                                           + sum_j beta_jk^2 / psi_j))
    x prod_j psi_j^(a - 1 - n_j/2) phi^b (psi_j + phi)^-(a + b) [psi_j <= psi_max]
    x phi^(-1/2) / (1 + phi)                               (where phi is learned)

p_k variants in population k, n_j populations with variant j, delta_j integrated out; the first
line is the likelihood of N_k people's trait of unit variance. Its terms:

* N_k is the median sample size of the population's variants; each b_jk = z_jk / sqrt(n_jk) has
  its own. With ``phi_per_chromosome`` each chromosome has its own phi and sigma.
* R_k is block diagonal, in float32 or as `ld_dtype` says; negative eigenvalues are taken as 0, and
  2e-6 is added to the diagonal. b_k is projected, block by block, on the eigenvectors of R_k with
  eigenvalues above 1e-4: what lies outside cannot come from the panel's people, and is reported
  (`CsxPosterior.outside`).
* The bound cuts the joint prior: each conditional of psi is truncated, the others are as they would
  be without it. The cut weighs phi's prior by P(all psi_j <= psi_max | phi), which favours a small
  phi. That is meant: a prior of psi that is normalised after the cut lets a learned phi grow
  without bound where effects are larger than the cut allows, or the panel is small, and predicts
  worse. Its price is that the spread of the draws is too small where phi is learned; fix phi (or
  choose it from a grid) where intervals of people matter.
* Where statistics and LD disagree, 1 - 2 beta'b + beta'R beta can be negative; sigma is then drawn
  as if it were 0. This is outside the definition, is counted, and is said in the warnings.

Moves: single-site draws of beta with a running residual; sigma from its inverse gamma; psi_j from
its conditional, exactly (`prs.kernels.psi`); phi given psi by a slice; a joint move of psi and phi
along their common scale; and one of the small effects with their psi and phi
(`prs.kernels.csx_scale`). Each leaves the density as it is (the tests draw data and parameters in
turn and compare with the prior). Means are averages of conditional expectations (Rao-Blackwell)
over every iteration that counts, of all chains.

**target="reference"** is the chain of getian107/PRScsx (`prs.weights.csx_parity`): psi is clipped
at psi_max after its draw, so that there is no density that it samples, and LD is what the
reference makes of it. Posterior means agree with the reference's to within Monte Carlo error.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from prs.cluster import count_threads
from prs.inputs.harmonise import HarmonisedSumStats
from prs.inputs.sumstats import SumStats
from prs.ld.reference import LDReference
from prs.matching import PalindromicRule
from prs.weights.csx_chain import Chains
from prs.weights.csx_ld import LdDtype
from prs.weights.csx_model import build_model
from prs.weights.csx_posterior import DEFAULT_TOLERANCE, CsxPosterior, CsxSettings
from prs.weights.csx_run import CHECKPOINT_EVERY, run_chains
from prs.weights.csx_settings import ChainSettings, plan_run
from prs.weights.csx_summary import summarise_chains

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["CsxPosterior", "fit_csx"]

logger = logging.getLogger(__name__)

#: Where learned phi (and all psi) begin, first chain to last: far apart, so that chains that
#: agree have forgotten it. (delta is integrated out, or drawn first.) A single chain begins at
#: 1e-2; the reference tool's, and the first of several of its kind, at 1.
START_RANGE = (1e-1, 1e-4)


def fit_csx(
    sumstats_by_population: Mapping[str, SumStats | HarmonisedSumStats],
    ld_by_population: Mapping[str, LDReference],
    *,
    phi: Literal["auto"] | float | Sequence[float] = "auto",
    a: float = 1.0,
    b: float = 0.5,
    n_iter: int | None = None,
    n_burnin: int | None = None,
    thin: int = 5,
    n_chains: int = 2,
    seed: int = 0,
    n_threads: int | None = None,
    target: Literal["posterior", "reference"] = "posterior",
    psi_max: float | None = 1.0,
    phi_per_chromosome: bool = False,
    keep_draws: bool = False,
    max_draws: int = 1000,
    palindromic: PalindromicRule = "frequency",
    until: Literal["converged"] | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    max_iter: int | None = None,
    ld_dtype: LdDtype = "float32",
    checkpoint: str | Path | None = None,
    checkpoint_every: float = CHECKPOINT_EVERY,
    client: Client | None = None,
) -> CsxPosterior:
    """Fit PRS-CS (one population) or PRS-CSx (several) to GWAS summary statistics.

    Parameters
    ----------
    sumstats_by_population : mapping of str to SumStats or HarmonisedSumStats
        GWAS of each population; harmonised to its LD reference here if it is not yet.
    ld_by_population : mapping of str to LDReference
        LD of each population; the same keys. Populations may differ in variants and blocks.
    phi : "auto", float or sequence of float
        Global shrinkage: learned, fixed, or a grid, whose fits share the passes over the LD.
    a, b : float
        Shapes of the priors of psi and delta.
    n_iter, n_burnin : int, optional
        Iterations of each chain, and how many are discarded; default 1,000 a population, and
        half of the iterations.
    thin : int
        Every how many iterations a draw is kept (``keep_draws``).
    n_chains : int
        Chains for each phi. They begin far apart and share the passes over the LD.
    seed : int
        The same seed gives the same bits for any number of threads.
    n_threads : int, optional
        Default: one per core.
    target : {"posterior", "reference"}
        See the module.
    psi_max : float or None
        Upper bound of psi; None for none. 1, the reference's, shrinks an isolated variant's
        effect at least by half; a larger one suits a good panel and a sparse trait.
    phi_per_chromosome : bool
        Give each chromosome its own phi and sigma, as separate runs would.
    keep_draws : bool
        Keep thinned draws of the effects, in float32 (4 bytes a draw, variant and population).
    max_draws : int
        With ``until="converged"``, the most draws that a chain keeps: where there would be more,
        `thin` is doubled.
    palindromic : {"frequency", "keep", "drop"}
        Rule for A/T and C/G variants when statistics are matched to LD.
    until : "converged", optional
        Leave the length to the sampler, in place of `n_iter` and `n_burnin`: it looks at
        iteration 200 and then at each 1.4-fold of it, takes about the second half of the run so
        far as its sample, and stops when (1) the chains are mixed: split R-hat at most 1.05 and
        an effective sample size of at least 50 for phi, sigma, the variance explained and
        predictions, and (2) the chains' predictions agree: `CsxPosterior.prediction_error` is
        at most `tolerance` in every population.
    tolerance : float
        Monte Carlo share of the variance of predictions. 0.001: the scores of two such fits,
        with other seeds, correlate at about 0.999.
    max_iter : int, optional
        Most iterations with ``until="converged"``; default 10,000 a population. A run that
        reaches it is not `converged` and says so.
    ld_dtype : {"float32", "int16", "int8"}
        How the LD is held in memory. int16 halves it, with errors (1.5e-5 of a correlation)
        below those of a panel's six digits and of any panel's sampling; int8 quarters it, with
        errors of 0.004, and needs ``psi_max`` of at most 1.
    checkpoint : str or Path, optional
        File to which the run is saved as it goes. The same call, after whatever end, goes on
        from it and ends with the same bits as an unbroken run. It is left there: delete it when
        the result is safe.
    checkpoint_every : float
        Seconds between two savings.
    client : distributed.Client, optional
        A cluster whose workers run the chains, each a task of up to 250 iterations with
        `n_threads` threads (default: 1); the bits are those of a run without it. With it the
        checkpoint is written between tasks.

    Returns
    -------
    CsxPosterior

    Raises
    ------
    SettingsError
        If a setting makes no sense.
    CheckpointError
        If the checkpoint is of a run with other inputs, settings or versions, or cannot be read.
    OverlapError
        If a population's statistics and LD have too few variants in common.
    SamplerError
        If a chain diverges; names the block and the population.

    Notes
    -----
    Each marginal effect is z / sqrt(n) with the variant's own n; the likelihood's N_k is the
    median n of the population.
    """
    plan = plan_run(
        max(len(sumstats_by_population), 1),
        phi=phi,
        a=a,
        b=b,
        n_iter=n_iter,
        n_burnin=n_burnin,
        thin=thin,
        n_chains=n_chains,
        target=target,
        psi_max=psi_max,
        max_draws=max_draws,
        until=until,
        tolerance=tolerance,
        max_iter=max_iter,
        ld_dtype=ld_dtype,
    )
    values = plan.phi
    model = build_model(
        sumstats_by_population,
        ld_by_population,
        palindromic=palindromic,
        by_chromosome=phi_per_chromosome,
        clean=target == "posterior",
        seed=seed,
        ld_dtype=ld_dtype,
        n_threads=n_threads,
    )
    first, last = (1.0 if target == "reference" else START_RANGE[0]), START_RANGE[1]
    starts = np.geomspace(first, last, n_chains)
    if n_chains == 1 and target == "posterior":
        starts[0] = 1e-2
    chain_phi = tuple(value for value in values for _ in range(n_chains))
    settings = ChainSettings(
        phi=chain_phi,
        start=tuple(float(s) for _ in values for s in starts),
        a=float(a),
        b=float(b),
        psi_max=psi_max,
        n_iter=plan.n_iter,
        n_burnin=plan.n_burnin,
        thin=int(thin),
        seed=int(seed),
        n_threads=count_threads(n_threads if client is None else n_threads or 1),
        keep_draws=keep_draws,
        n_values=len(values),
        max_draws=int(max_draws),
        tolerance=None if until is None else float(tolerance),
    )
    kind = Chains
    if target == "reference":
        from prs.weights.csx_parity import ReferenceChains

        kind = ReferenceChains
    result = run_chains(
        model,
        settings,
        kind,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        client=client,
    )
    posterior = summarise_chains(
        model,
        result,
        CsxSettings(
            target=target,
            phi=tuple("auto" if value is None else value for value in values),
            a=settings.a,
            b=settings.b,
            psi_max=psi_max,
            n_iter=result.phi.shape[1],
            n_burnin=result.n_burnin,
            thin=settings.thin,
            n_chains=n_chains,
            seed=settings.seed,
            phi_per_chromosome=phi_per_chromosome,
            until=until,
            tolerance=float(tolerance),
            max_iter=plan.max_iter,
            ld_dtype=ld_dtype,
        ),
    )
    for warning in posterior.warnings:
        logger.warning("%s", warning)
    return posterior
