"""Stages that make weights: clumping and thresholding, and Bayesian shrinkage."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from prs.errors import CheckpointError
from prs.inputs.harmonise import HarmonisedSumStats, harmonise
from prs.matching import match_variants
from prs.pipeline.context import Run
from prs.pipeline.inputs import Panel
from prs.quality import qc
from prs.weights.csx import fit_csx
from prs.weights.csx_checkpoint import remove_checkpoint
from prs.weights.csx_store import write_posterior
from prs.weights.table import write_weights
from prs.weights.threshold import clump_and_threshold

__all__ = ["make_csx_weights", "make_threshold_weights"]


def make_threshold_weights(run: Run, name: str) -> Path:
    """Clump and threshold a population's statistics; return the weights' file."""
    path = run.folder / "weights" / f"ct_{name}.tsv"
    statistics = run.study.file(run.study.populations[name].sumstats)
    run.stages.run(
        f"clump and threshold {name}",
        settings=run.settings_of(run.study.methods.ct, name),
        inputs=[statistics, *run.reference_files(name), *run.target.files],
        outputs=[path],
        work=partial(_write_threshold_weights, run, name, path),
    )
    return path


def _write_threshold_weights(run: Run, name: str, path: Path) -> str:
    settings = run.study.methods.ct
    assert settings is not None
    genotypes = run.reference_genotypes(name)
    match = match_variants(genotypes.variants, run.target.variants, palindromic="keep")
    genotypes = genotypes.subset(variants=np.sort(match.query_index))
    statistics = harmonise(
        run.statistics_of(name),
        genotypes.variants,
        eaf=genotypes.eaf(),
        palindromic=run.study.harmonise.palindromic,
        min_overlap=run.study.harmonise.min_overlap,
    )
    statistics = qc(statistics, eaf=genotypes.eaf(), rules=run.rules)
    weights = clump_and_threshold(
        statistics,
        genotypes,
        p_thresholds=settings.p_thresholds,
        r2=settings.r2,
        kb=settings.kb,
        n_threads=run.n_threads,
        client=run.client,
    )
    write_weights(weights.rename([f"ct_{column}" for column in weights.names]), path)
    return f"{len(weights.variants):,} index variants, {len(weights.names)} thresholds"


def make_csx_weights(
    run: Run, label: str, names: list[str], *made: HarmonisedSumStats | Panel
) -> Path:
    """Fit PRS-CS or PRS-CSx; return the weights' file (the posterior is beside it).

    Parameters
    ----------
    run : Run
    label : str
        Of the fit.
    names : list of str
        Its populations.
    *made : HarmonisedSumStats or Panel
        The statistics of each population, then the LD of each.
    """
    settings = run.study.methods.csx
    assert settings is not None
    statistics: dict[str, Any] = dict(zip(names, made, strict=False))
    panels: dict[str, Any] = dict(zip(names, made[len(names) :], strict=True))
    paths = [run.folder / "weights" / f"{label}.{end}" for end in ("tsv", "npz")]
    draws = settings.draws if run.drawn == paths[1] else 0

    def work() -> str:
        checkpoint = run.folder / ".stages" / f"shrink_{label}.checkpoint.npz"
        fit = partial(
            fit_csx,
            statistics,
            {name: panel.ld for name, panel in panels.items()},
            phi=tuple(settings.phi) if isinstance(settings.phi, list) else settings.phi,
            n_iter=settings.n_iter,
            n_burnin=settings.n_burnin,
            thin=settings.thin_for(len(names), draws),
            keep_draws=draws > 0,
            n_chains=settings.n_chains,
            psi_max=settings.psi_max,
            phi_per_chromosome=settings.phi_per_chromosome,
            until=settings.until,
            tolerance=settings.tolerance,
            max_iter=settings.max_iter,
            max_draws=max(draws // settings.n_chains, 1),
            ld_dtype=settings.ld_dtype,
            seed=run.study.seed,
            n_threads=run.n_threads,
            checkpoint=checkpoint,
            client=run.client,
        )
        try:
            posterior = fit()
        except CheckpointError:  # the study was changed since it was killed
            remove_checkpoint(checkpoint)
            posterior = fit()
        weights = posterior.weights()
        if len(names) == 1:  # POP or POP_phi1e-02 becomes cs_POP or cs_POP_phi1e-02
            columns = [label + name.removeprefix(names[0]) for name in weights.names]
        else:
            columns = [f"{label}_{name}" for name in weights.names]
        write_weights(weights.rename(columns), paths[0])
        write_posterior(posterior, paths[1])
        remove_checkpoint(checkpoint)
        return posterior.summary()

    run.stages.run(
        f"shrink {label}",
        settings=run.settings_of(settings, *names),
        inputs=[
            *(run.folder / "harmonised" / f"{name}.tsv.gz" for name in names),
            *(file for panel in panels.values() for file in panel.files),
        ],
        outputs=paths,
        work=work,
    )
    return paths[0]
