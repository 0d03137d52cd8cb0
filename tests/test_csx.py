"""PRS-CSx: kernels against their twins, the chain against its target, parity, and bad input."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace

import numpy as np
import pytest
from naive_csx import block_draw, log_joint, sweep
from scipy import stats

from prs.errors import SamplerError, SettingsError
from prs.inputs.harmonise import HarmonisedSumStats
from prs.inputs.sumstats import SumStatsSource
from prs.kernels.csx import log_phi_density
from prs.kernels.csx_reference import draw_block_effects
from prs.kernels.csx_scale import apply_scale, choose_small, log_scale_density
from prs.kernels.csx_sweep import refresh_residuals, sweep_effects
from prs.kernels.rng import draw_normal, make_streams
from prs.ld.reference import LDReference
from prs.matching import MatchReport
from prs.variants import VariantTable
from prs.weights.csx import fit_csx
from prs.weights.csx_chain import Chains
from prs.weights.csx_dropin import run_like_reference
from prs.weights.csx_inputs import join_variants
from prs.weights.csx_ld import clean_block
from prs.weights.csx_model import build_model
from prs.weights.csx_parity import BlockReferenceChains, ReferenceChains
from prs.weights.csx_posterior import format_phi
from prs.weights.csx_run import run_chains
from prs.weights.csx_settings import ChainSettings
from prs.weights.csx_store import read_posterior, write_posterior
from prs.weights.diagnostics import effective_sample_size, split_rhat

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
P_MIN = 1e-5  # fixed seeds, some tens of p-values: a right sampler fails with probability 1e-3


def alone(function, jobs):
    for job in jobs:
        function(*job)


def correlation(m, rng, n=400):
    x = rng.standard_normal((n, m)) + 0.7 * rng.standard_normal((n, 1))
    return np.corrcoef(x, rowvar=False).reshape(m, m)


def table(positions, effect="A", other="G", chrom=1):
    positions = np.asarray(positions)
    m = len(positions)
    return VariantTable(
        np.full(m, chrom, np.int8),
        positions,
        np.array([f"rs{p}" for p in positions], object),
        np.full(m, effect, object),
        np.full(m, other, object),
    )


def population(variants, blocks, rng, n=1000.0, name="EUR", z=None):
    """An LDReference of the blocks' sizes and statistics from its own model."""
    matrices = [correlation(m, rng) for m in blocks]
    ld = LDReference.from_blocks(variants, np.full(len(variants), 0.3), matrices, population=name)
    if z is None:
        z = rng.standard_normal(len(variants)) * 3
    return statistics(variants, z, n, name), ld


def statistics(variants, z, n=1000.0, name="EUR"):
    m = len(variants)
    z = np.asarray(z, float)
    se = np.full(m, 0.05)
    return HarmonisedSumStats(
        variants,
        np.arange(m),
        z * se,
        se,
        z,
        2 * stats.norm.sf(np.abs(z)),
        np.full(m, float(n)),
        np.full(m, 0.3),
        name,
        MatchReport("statistics", "LD", {"same": m}, m),
        SumStatsSource("memory", "test", {}, (), m, {}, ""),
    )


def study(seed=1, **kw):
    """Two populations, other blocks, one variant private to each side."""
    rng = np.random.default_rng(seed)
    one = population(table(range(10, 130, 10)), [5, 4, 3], rng, 1000, "EUR", **kw)
    two = population(table(range(20, 140, 10)), [7, 5], rng, 500, "AFR", **kw)
    return {"EUR": one[0], "AFR": two[0]}, {"EUR": one[1], "AFR": two[1]}


def settings(n_chains=2, phi=None, **kw):
    values = {
        "phi": (phi,) * n_chains, "start": tuple(np.geomspace(0.1, 0.01, n_chains)), "a": 1.0,
        "b": 0.5, "psi_max": 1.0, "n_iter": 60, "n_burnin": 20, "thin": 5, "seed": 3,
        "n_threads": 1,
    } | kw  # fmt: skip
    return ChainSettings(**values)


# ---- kernels and their twins


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "int8"])
def test_sweep_equals_its_twin(dtype):
    """A block wider than a panel of 8, one that is not a multiple, one of 1; two chains."""
    rng = np.random.default_rng(0)
    sumstats, ld = population(table(range(10, 320, 10)), [13, 16, 1, 1], rng)
    model = build_model({"EUR": sumstats}, {"EUR": ld})
    if dtype.startswith("float"):
        stored = {"ld": model.ld.astype(dtype)}
    else:
        unit = 1.0 / np.iinfo(dtype).max
        stored = {"ld": np.rint(model.ld / unit).astype(dtype), "ld_unit": unit}
    model = replace(model, **stored)
    chains = Chains(model, settings(2))
    chains.u = rng.uniform(1, 20, chains.u.shape)
    noise = rng.uniform(1e-4, 1e-3, (2, model.n_blocks))
    beta = rng.standard_normal(chains.beta.shape) * 0.05
    chains.beta[:] = beta
    chains.is_small[:] = rng.random(chains.is_small.shape) < 0.7
    blocks = np.arange(model.n_blocks)
    layout = (model.starts, model.ld_starts, model.ld, model.ld_unit, model.diagonal, chains.b)
    refresh_residuals(blocks, *layout, chains.beta, chains.residual)
    streams = make_streams(4, (7,), (model.n_blocks, 2))
    copies = streams.copy()
    sweep_effects(
        blocks, *layout, model.index, chains.u, noise, chains.beta, chains.residual, streams,
        chains.sums, chains.total, chains.total_square, True, chains.is_small, chains.moves,
        chains.product, chains.small_sums, model.directions, chains.scores, chains.precision,
    )  # fmt: skip
    # some tens of operations on numbers below 1 in float64; in float32 a residual below 0.5
    # takes m roundings of half a unit in its last place, and effects pass them on
    atol = 1e-13 if dtype == "float64" else 16 * 0.5 * np.finfo(np.float32).eps
    for k in range(model.n_blocks):
        here = slice(model.starts[k], model.starts[k + 1])
        R = model.ld[model.ld_starts[k] : model.ld_starts[k + 1]].reshape(
            -1, here.stop - here.start
        )
        R = R.astype(float) * model.ld_unit
        np.fill_diagonal(R, model.diagonal[here])
        for c in range(2):
            u, b = chains.u[c, model.index[here]], model.b[here]
            z = np.array([draw_normal(copies[k, c]) for _ in b])
            value, mean, square = sweep(R, b, u, noise[c, k], beta[c, here], z)
            np.testing.assert_allclose(chains.beta[c, here], value, atol=atol)
            np.testing.assert_allclose(chains.total[c, here], mean, atol=atol)
            np.testing.assert_allclose(chains.total_square[c, here], square, atol=atol)
            np.testing.assert_allclose(chains.residual[c, here], b - R @ value, atol=atol)
            sums = [value @ b, value @ (b - R @ value), u @ value**2]
            np.testing.assert_allclose(chains.sums[c, k], sums, atol=20 * atol)
            scores = model.directions[:, here] @ value
            np.testing.assert_allclose(chains.scores[c, k], scores, atol=100 * atol)
            g = np.where(chains.is_small[c, model.index[here]], value, 0.0)
            np.testing.assert_allclose(chains.product[c, here], R @ g, atol=2 * atol)
            expected = [g @ (b - R @ value), g @ R @ g]
            np.testing.assert_allclose(chains.small_sums[c, k], expected, atol=2 * atol)


def test_block_draw_equals_its_twin():
    model = build_model(*study())
    chains = Chains(model, settings(2))
    rng = np.random.default_rng(0)
    chains.u = rng.uniform(1, 20, chains.u.shape)
    noise = rng.uniform(1e-4, 1e-3, (2, model.n_blocks))
    streams = make_streams(4, (7,), (model.n_blocks, 2))
    copies = streams.copy()
    draw_block_effects(
        np.arange(model.n_blocks), model.starts, model.ld_starts, model.ld, model.ld_unit, model.b,
        model.index, chains.u, noise, chains.beta, streams, chains.sums,
    )  # fmt: skip
    for k in range(model.n_blocks):
        here = slice(model.starts[k], model.starts[k + 1])
        R = model.matrix(k).astype(float)
        for c in range(2):
            u, b = chains.u[c, model.index[here]], model.b[here]
            z = np.array([draw_normal(copies[k, c]) for _ in b])
            value = block_draw(R, b, u, noise[c, k], z)
            # rounding of some tens of operations on numbers below 1
            np.testing.assert_allclose(chains.beta[c, here], value, atol=1e-13)
            sums = [value @ b, value @ (b - R @ value), u @ value**2]
            np.testing.assert_allclose(chains.sums[c, k], sums, atol=1e-12)


def test_phi_density_equals_the_model_s():
    rng = np.random.default_rng(1)
    for n in (30, 64, 200):  # below, at and above what is taken together
        psi = rng.uniform(0.001, 0.9, n)
        psi[:3] = 1e-12  # makes the product of some factors overflow where there are many
        chi, copies = psi * rng.exponential(size=n), rng.integers(1, 4, n)
        for a, b in ((1.0, 0.5), (0.7, 1.3)):
            for s in (-6.0, 25.0):
                ours = [log_phi_density(x, 1 / psi, a, b) for x in (s, s + 1)]
                twin = [log_joint(np.exp(x), psi, chi, copies, a, b) + x for x in (s, s + 1)]
                assert ours[1] - ours[0] == pytest.approx(twin[1] - twin[0], rel=1e-9)


def test_scale_move_keeps_the_residual():
    model = build_model(*study())
    chains = Chains(model, settings(2))
    rng = np.random.default_rng(5)
    chains.beta[:] = rng.standard_normal(chains.beta.shape) * 0.05
    chains.is_small[:] = rng.random(chains.is_small.shape) < 0.7
    blocks = np.arange(model.n_blocks)
    layout = (model.starts, model.ld_starts, model.ld, model.ld_unit, model.diagonal)
    refresh_residuals(blocks, *layout, chains.b, chains.beta, chains.residual)
    inside = chains.is_small[:, model.index]
    small = np.where(inside, chains.beta, 0.0)
    chains.product[:] = chains.multiply(alone, small)
    for k in blocks:
        here = slice(model.starts[k], model.starts[k + 1])
        R = model.matrix(k).astype(float)
        np.fill_diagonal(R, model.diagonal[here])
        np.testing.assert_allclose(chains.product[:, here], small[:, here] @ R, atol=1e-13)
    before = chains.beta.copy()
    for c, log_c in enumerate((0.2, -0.4)):
        for low, high in itertools.pairwise(model.chunks):
            apply_scale(
                low, high, model.where, chains.is_small[c], log_c, chains.product[c],
                chains.beta[c], chains.residual[c],
            )  # fmt: skip
    factor = np.where(inside, np.exp(np.array([[0.2], [-0.4]]) / 2), 1.0)
    np.testing.assert_allclose(chains.beta, before * factor, rtol=1e-12)
    moved = chains.residual.copy()
    refresh_residuals(blocks, *layout, chains.b, chains.beta, chains.residual)
    np.testing.assert_allclose(moved, chains.residual, atol=1e-13)


def test_membership_of_the_scale_move_has_its_probability():
    n, x_0 = 40_000, 30.0
    rng = np.random.default_rng(1)
    u = 1 / (0.01 * 10 ** rng.uniform(-1, 4, n))
    inside = np.zeros(n, dtype=bool)
    choose_small(rng.random(n), u, 0.01, x_0, inside)
    q = 1 / (1 + (1 / (u * 0.01) / x_0) ** 2)
    z = (inside - q).sum() / np.sqrt((q * (1 - q)).sum())
    assert abs(z) < 4
    assert abs(((inside - q) * np.log(u)).sum()) < 4 * np.sqrt((q * (1 - q) * np.log(u) ** 2).sum())


def test_scale_density_is_the_model_s_along_the_orbit():
    """Twin: the joint density of (data, beta, psi, phi, S) at the moved state, and the Jacobian."""
    rng = np.random.default_rng(2)
    n, a, b, x_0, lower, weight = 9, 1.0, 0.5, 30.0, 1.0, 500.0
    for _ in range(5):
        phi = 10 ** rng.uniform(-4, -1)
        psi = np.minimum(stats.betaprime(a, b, scale=phi).rvs(n, random_state=rng), 0.5)
        beta = rng.standard_normal(n) * np.sqrt(psi / weight)
        inside = rng.random(n) < 0.6
        R = correlation(n, rng)
        data = R @ beta + rng.standard_normal(n) * 0.02
        g = np.where(inside, beta, 0)
        linear, square = weight * g @ (data - R @ beta), weight * g @ R @ g
        outside = 1 / psi[~inside]
        least = (1 / psi[inside]).min(initial=np.inf)
        values, twins = [], []
        for y in (-0.7, -0.1, 0.0, 0.3, 0.6):
            c = np.exp(y)
            moved_psi = np.where(inside, c * psi, psi)
            moved = np.where(inside, np.sqrt(c), 1.0) * beta
            x = moved_psi / (c * phi)
            q = 1 / (1 + (x / x_0) ** 2)
            twin = log_joint(c * phi, moved_psi, weight * moved**2, np.ones(n), a, b)
            twin += weight * (moved @ data - 0.5 * moved @ R @ moved)
            twin += np.log(np.where(inside, q, 1 - q)).sum()
            twin += inside.sum() * (y + y / 2) + y  # Jacobians of psi, beta and phi; d log c
            values.append(
                log_scale_density(y, linear, square, phi, outside, x_0, least, lower, a, b)
            )
            twins.append(twin if moved_psi.max() <= 1 / lower else -np.inf)
        np.testing.assert_allclose(np.diff(values), np.diff(twins), rtol=1e-8)
    assert log_scale_density(1.0, 0.0, 0.0, 0.1, outside, x_0, 1.1, 1.0, a, b) == -np.inf


# ---- the chain samples its target


class FixedSigma(Chains):
    """sigma stays at 1: its prior is improper, so a joint test needs it given."""

    def _draw_sigma(self):
        super()._draw_sigma()
        self.sigma[:] = 1.0


@pytest.mark.parametrize("n_populations", [1, 2, 3])
@pytest.mark.parametrize("psi_max", [1.0, None])
def test_joint_distribution(n_populations, psi_max):
    """Geweke: parameters and data from the joint law stay in it, however often both are redrawn.

    Each chain begins with an exact draw of (phi, psi, beta); in between, its data are drawn anew
    given beta. After some rounds the chains, independent of each other, are still draws from
    the prior cut to psi <= psi_max, and so follow the law of fresh ones.
    """
    n_chains, rounds = (40, 2) if INTERPRETED else (3000, 6)
    rng = np.random.default_rng(n_populations)
    names = ["EUR", "AFR", "EAS"][:n_populations]
    parts = [population(table(range(10 + 10 * k, 40 + 10 * k, 10)), [3], rng, 50, name)
             for k, name in enumerate(names)]  # fmt: skip
    model = build_model(
        {name: p[0] for name, p in zip(names, parts, strict=True)},
        {name: p[1] for name, p in zip(names, parts, strict=True)},
    )
    n_variants = len(model.variants)

    def prior(n):
        phi, psi = np.empty(0), np.empty((0, n_variants))
        while len(phi) < n:
            more = np.abs(stats.cauchy.rvs(size=4 * n, random_state=rng)) ** 2
            delta = rng.gamma(0.5, 1 / more[:, None], (4 * n, n_variants))
            scale = rng.gamma(1.0, 1 / np.maximum(delta, 1e-280))
            ok = (scale <= (psi_max or np.inf)).all(axis=1) & (more > 1e-12) & (more < 1e12)
            ok &= np.isfinite(scale).all(axis=1) & (scale > 1e-15).all(axis=1)
            ok &= (scale < 1e15).all(axis=1)
            phi, psi = np.append(phi, more[ok]), np.vstack([psi, scale[ok]])
        phi, psi = phi[:n], psi[:n]
        beta = rng.standard_normal((n, len(model.b))) * np.sqrt(psi[:, model.index] / 50)
        return phi, psi, beta

    chains = FixedSigma(model, settings(n_chains, psi_max=psi_max, start=(0.01,) * n_chains))
    phi, psi, chains.beta[:] = prior(n_chains)
    chains.phi[:, 0], chains.u[:] = phi, 1 / psi
    chains.b = data = np.empty_like(chains.beta)  # each chain has its own
    for _ in range(rounds):
        for k in range(model.n_blocks):
            here = slice(model.starts[k], model.starts[k + 1])
            R = model.matrix(k).astype(float)
            np.fill_diagonal(R, model.diagonal[here])
            noise = rng.standard_normal((n_chains, len(R))) @ np.linalg.cholesky(R / 50).T
            chains.residual[:, here] = noise
            data[:, here] = chains.beta[:, here] @ R + noise
        chains.step(alone, accumulate=False)
    phi, psi, beta = prior(n_chains)
    assert stats.ks_2samp(chains.phi[:, 0], phi).pvalue > P_MIN
    for j in range(n_variants):
        assert stats.ks_2samp(1 / chains.u[:, j], psi[:, j]).pvalue > P_MIN
    for t in range(len(model.b)):
        assert stats.ks_2samp(np.abs(chains.beta[:, t]), np.abs(beta[:, t])).pvalue > P_MIN
        assert abs((chains.beta[:, t] > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(n_chains)


def test_posterior_mean_is_the_ridge_solution_when_scales_are_given():
    class Fixed(Chains):
        def __init__(self, model, settings):
            super().__init__(model, settings)
            self.u[:] = 5.0

        def _draw_sigma(self):
            super()._draw_sigma()
            self.sigma[:] = 1.0
            self.beta_only = self.u.copy()

        def step(self, run, accumulate):
            super().step(run, accumulate)
            self.u[:] = self.beta_only

    n_chains = 16
    model = build_model(*study())
    n_iter = 60 if INTERPRETED else 1500
    result = run_chains(
        model,
        settings(n_chains, 0.01, start=(0.2,) * n_chains, n_iter=n_iter, n_burnin=20),
        Fixed,
    )
    for k in range(model.n_blocks):
        here = slice(model.starts[k], model.starts[k + 1])
        D = model.matrix(k).astype(float) + 5 * np.eye(here.stop - here.start)
        truth = np.linalg.solve(D, model.b[here])
        each = result.mean[:, here]
        error = each.std(axis=0, ddof=1) / np.sqrt(n_chains)
        # Student's t with 15 degrees of freedom: beyond 6.5 with probability 1e-5 each
        assert np.all(np.abs(each.mean(axis=0) - truth) < 6.5 * error + 1e-6)
        variance = (result.square - result.mean**2)[:, here].mean(axis=0)
        exact = np.diag(np.linalg.inv(D)) / model.n_gwas[model.block_population[k]]
        np.testing.assert_allclose(variance, exact, rtol=0.5 if INTERPRETED else 0.05)


def test_sigma_is_one_over_gamma():
    model = build_model(*study(z=np.zeros(12)))
    result = run_chains(model, settings(2, 0.01, n_iter=80 if INTERPRETED else 2000))
    kept = result.sigma[:, 20:, 0, 0].ravel()
    # z = 0: beta'R beta is about 12 sigma psi/N, so sigma is close to InvGamma(N/2, N/2)
    assert kept.mean() == pytest.approx(1.0, abs=0.03)
    assert kept.std() == pytest.approx(np.sqrt(2 / 1000), rel=0.3)


# ---- reproducible to the bit


def test_threads_and_company_do_not_change_a_bit():
    sumstats, ld = study()
    n_iter = 12 if INTERPRETED else 210  # past a refresh of the residuals
    for target in ("posterior", "reference"):
        fits = [
            fit_csx(sumstats, ld, n_iter=n_iter, seed=5, n_threads=n, target=target)
            for n in (1, 2, 8)
        ]
        for fit in fits[1:]:
            for name in ("beta_mean", "beta_sd", "phi_trace", "psi_mean"):
                assert getattr(fit, name).tobytes() == getattr(fits[0], name).tobytes()
        other = fit_csx(sumstats, ld, n_iter=n_iter, seed=6, n_threads=1, target=target)
        assert not np.array_equal(other.beta_mean, fits[0].beta_mean)


# ---- what goes in


def test_union_orients_alleles_to_the_first_table():
    first, second = table([10, 20, 40]), table([20, 30, 40], "G", "A")
    union, index, sign, _ = join_variants([first, second], ["EUR", "AFR"])
    assert union.pos.tolist() == [10, 20, 30, 40]
    assert index[1].tolist() == [1, 2, 3]
    assert sign[1].tolist() == [-1, 1, -1]
    assert union.effect_allele.tolist() == ["A", "A", "G", "A"]


def test_swapped_alleles_give_the_same_model():
    sumstats, ld = study()
    model = build_model(sumstats, ld)
    afr = sumstats["AFR"]
    turned = table(afr.variants.pos, "G", "A")
    matrices = [ld["AFR"].read_block(i) for i in range(2)]
    swapped = build_model(
        {"EUR": sumstats["EUR"], "AFR": statistics(turned, -afr.z, 500, "AFR")},
        {"EUR": ld["EUR"], "AFR": LDReference.from_blocks(turned, np.full(12, 0.7), matrices)},
    )
    # the private variant keeps its population's alleles
    shared = model.index[model.effects(1)] < 12
    shared = np.isin(model.variants.pos[model.index[model.effects(1)]], range(10, 130, 10))
    sign = np.where(shared, 1.0, -1.0)
    np.testing.assert_allclose(swapped.b[12:] * sign, model.b[12:])
    np.testing.assert_allclose(swapped.eaf[1, 1:12], model.eaf[1, 1:12])
    # only the last variant is turned: its row and column of R change sign
    last = swapped.matrix(swapped.n_blocks - 1) * np.outer(sign[7:], sign[7:])
    np.testing.assert_allclose(last, model.matrix(model.n_blocks - 1), atol=1e-6)


def test_part_of_a_block_and_a_block_without_statistics():
    rng = np.random.default_rng(0)
    variants = table(range(10, 100, 10))
    _, ld = population(variants, [4, 3, 2], rng)
    rows = np.array([1, 3, 7, 8])
    one = statistics(variants.take(rows), [1, 2, 3, 4])
    one = HarmonisedSumStats(**{**vars(one), "reference_index": rows})
    model = build_model({"EUR": one}, {"EUR": ld})
    assert np.diff(model.starts).tolist() == [2, 2]
    assert model.block_number.tolist() == [0, 2]
    assert model.matrix(0)[0, 1] == pytest.approx(ld.read_block(0)[1, 3], abs=1e-6)


def test_rank_deficient_and_indefinite_ld_is_mended():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((4, 9))
    R = np.corrcoef(x, rowvar=False)  # rank 3
    b = rng.standard_normal(9)
    block = clean_block(R, b, np.zeros((1, 9)))
    values, vectors = np.linalg.eigh(R)
    inside = vectors[:, values > 1e-8]
    np.testing.assert_allclose(block.b, inside @ (inside.T @ b), atol=1e-6)  # float32 rounding
    assert block.lost == pytest.approx(b @ b - block.b @ block.b, rel=1e-5)
    bent = R - 0.05 * np.outer(vectors[:, 0], vectors[:, 0])
    mended = clean_block(bent, b, np.zeros((1, 9)))
    assert mended.is_mended
    full = mended.matrix.astype(float)
    np.fill_diagonal(full, mended.diagonal)
    assert np.linalg.eigvalsh(full)[0] > -1e-6


@pytest.mark.parametrize("target", ["posterior", "reference"])
def test_smallest_and_emptiest_inputs_finish(target):
    rng = np.random.default_rng(0)
    one = table([10])
    for z in ([4.0], [0.0]):
        sumstats, ld = statistics(one, z), LDReference.from_blocks(one, [0.2], [np.eye(1)])
        fit = fit_csx({"EUR": sumstats}, {"EUR": ld}, n_iter=20, target=target, seed=1)
        assert np.isfinite(fit.beta_mean).all()
        assert fit.weights().names == ("EUR",)
    far = population(table([500, 600]), [2], rng, name="AFR")
    fit = fit_csx(
        {"EUR": sumstats, "AFR": far[0]}, {"EUR": ld, "AFR": far[1]}, n_iter=20, target=target
    )
    assert np.isfinite(fit.weights().weights).all()
    assert any("no variant in common" in w for w in fit.warnings)
    assert np.isnan(fit.beta_mean[0, 1:]).all()


def test_chains_begin_far_apart_in_psi_and_phi():
    sumstats, ld = study()
    for target, first in (("posterior", 1e-1), ("reference", 1.0)):
        fit = fit_csx(sumstats, ld, n_chains=4, n_iter=12, n_burnin=2, target=target, seed=1)
        begin = np.log(fit.phi_trace[:, 0])
        # after one iteration on 13 variants phi is still near its start: a factor of 10 or more
        # between neighbours, of which an iteration moves a factor of 3 or so
        assert begin[0] - begin[-1] > np.log(10)
        model = build_model(sumstats, ld)
        chains = Chains(model, settings(2, start=(first, 1e-4)))
        # psi of a prior with these phi: log psi has sd 2.6, cut at 1, so means of 13 have 0.7
        low, high = np.sort(np.log(1 / chains.u).mean(axis=1))
        assert high - low > np.log(10)
        assert chains.phi[:, 0].tolist() == [first, 1e-4]


@pytest.mark.parametrize("target", ["posterior", "reference"])
def test_bent_ld_and_b_that_it_cannot_produce(target):
    """Rank 3 of 9, an eigenvalue of -0.05, and a b of noise: finite, and said."""
    rng = np.random.default_rng(3)
    R = np.corrcoef(rng.standard_normal((4, 9)), rowvar=False)
    _, vectors = np.linalg.eigh(R)
    bent = R - 0.05 * np.outer(vectors[:, 0], vectors[:, 0])
    bent /= np.sqrt(np.outer(np.diag(bent), np.diag(bent)))
    variants = table(range(10, 100, 10))
    ld = LDReference.from_blocks(variants, np.full(9, 0.3), [bent])
    fit = fit_csx({"EUR": statistics(variants, rng.standard_normal(9) * 3)}, {"EUR": ld},
                  n_iter=200, target=target, seed=1)  # fmt: skip
    assert np.isfinite(fit.beta_mean).all()
    assert np.isfinite(fit.beta_sd).all()
    if target == "posterior":
        assert fit.outside["EUR"] > 0.3  # six of nine directions
        assert any("lie outside what the LD panel can produce" in w for w in fit.warnings)


def test_each_z_is_scaled_by_its_own_sample_size():
    rng = np.random.default_rng(0)
    variants = table(range(10, 100, 10))
    one, ld = population(variants, [9], rng, z=np.full(9, 3.0))
    n = np.array([1000.0] * 5 + [400.0] * 4)
    ld = LDReference.from_blocks(variants, np.full(9, 0.3), [np.eye(9)])
    uneven = HarmonisedSumStats(**{**vars(one), "n_eff": n})
    model = build_model({"EUR": uneven}, {"EUR": ld})
    np.testing.assert_allclose(model.b, 3.0 / np.sqrt(n))
    assert model.n_gwas.tolist() == [1000.0]
    assert any("scaled by its own n" in note for note in model.notes)


def test_settings_that_make_no_sense_are_refused():
    sumstats, ld = study()
    for bad in (
        {"phi": -1}, {"phi": "much"}, {"phi": []}, {"n_iter": 10, "n_burnin": 10}, {"thin": 0},
        {"n_chains": 0}, {"psi_max": 0.0}, {"target": "other"}, {"a": 0.0}, {"n_threads": 0},
    ):  # fmt: skip
        with pytest.raises(SettingsError):
            fit_csx(sumstats, ld, **bad)
    with pytest.raises(SettingsError, match="same populations"):
        fit_csx(sumstats, {"EUR": ld["EUR"]})


def test_divergence_names_block_and_population():
    model = build_model(*study())
    for kind in (Chains, ReferenceChains, BlockReferenceChains):
        chains = kind(model, settings())
        chains.residual[1, -1] = np.nan
        chains.u[1, -1] = np.nan
        with pytest.raises(SamplerError, match="block 1 of AFR"):
            chains.step(alone, accumulate=False)


# ---- what comes out


def test_posterior_weights_grid_and_files(tmp_path):
    sumstats, ld = study()
    grid = fit_csx(sumstats, ld, phi=[1e-2, 1.5e-2, "auto"], n_iter=20, keep_draws=True, seed=2)
    assert grid.weights().names[:4] == ("EUR_phi1e-02", "AFR_phi1e-02", "META_phi1e-02",
                                        "EUR_phi1.5e-02")  # fmt: skip
    one = grid.split()["1e-02"]
    sd = np.sqrt(2 * 0.3 * 0.7)
    w = one.weights()
    np.testing.assert_allclose(w.weights[:, 0], np.nan_to_num(one.beta_mean[0]) / sd)
    v = (one.beta_sd / sd) ** 2
    both = np.isfinite(v).all(axis=0)
    mean = (one.beta_mean / sd / v).sum(axis=0) / (1 / v).sum(axis=0)
    np.testing.assert_allclose(w.weights[both, 2], mean[both])
    only = np.isnan(one.beta_mean[0])
    np.testing.assert_allclose(w.weights[only, 2], w.weights[only, 1])
    assert grid.draws["EUR"].shape == (3, 4, 13)
    assert not grid.converged
    assert any("not converged" in text for text in grid.warnings)
    assert len(grid.diagnostics_frame()) == 6 * 3 + 1
    assert len(grid.trace_frame()) == 6 * 20
    back = read_posterior(write_posterior(grid, tmp_path / "p.npz"))
    assert np.array_equal(back.beta_mean, grid.beta_mean, equal_nan=True)
    assert back.settings == grid.settings
    assert back.summary() == grid.summary()
    assert back.weights().names == grid.weights().names


def test_names_of_phi_do_not_collide():
    assert [format_phi(p) for p in (1e-2, 1.5e-2, 2e-2, 1.0, "auto")] == [
        "1e-02", "1.5e-02", "2e-02", "1e+00", "auto"
    ]  # fmt: skip


def test_n_iter_alone_is_honoured_and_its_half_discarded():
    fit = fit_csx(*study(), n_iter=30)
    assert (fit.settings.n_iter, fit.settings.n_burnin) == (30, 15)


def test_mismatch_is_said():
    # two variants in perfect LD with opposite effects: no such population
    variants = table([10, 20])
    R = np.array([[1.0, 0.99], [0.99, 1.0]])
    ld = LDReference.from_blocks(variants, [0.3, 0.3], [R])
    fit = fit_csx({"EUR": statistics(variants, [25, -25])}, {"EUR": ld}, n_iter=40, phi=1.0)
    assert any("disagree" in text for text in fit.warnings)


# ---- diagnostics


def test_rhat_and_ess_on_known_chains():
    rng = np.random.default_rng(0)
    white = rng.standard_normal((4, 2000))
    assert split_rhat(white) < 1.01
    assert effective_sample_size(white) == pytest.approx(8000, rel=0.1)
    rho = 0.9
    slow = np.empty((4, 20000))
    slow[:, 0] = rng.standard_normal(4)
    for t in range(1, slow.shape[1]):
        slow[:, t] = rho * slow[:, t - 1] + np.sqrt(1 - rho**2) * rng.standard_normal(4)
    # an AR(1) chain has an autocorrelation time of (1 + rho) / (1 - rho) = 19
    assert effective_sample_size(slow) == pytest.approx(80000 / 19, rel=0.15)
    assert split_rhat(white + np.arange(4)[:, None]) > 1.5
    assert split_rhat(white * np.array([1, 1, 1, 5])[:, None]) > 1.05  # folded
    assert split_rhat(np.linspace(0, 1, 100)[None]) > 1.5  # one chain that drifts
    assert split_rhat(np.ones((2, 50))) == 1.0
    assert np.isnan(split_rhat([[1.0, 2.0]]))


# ---- parity with the reference tool


def reference_inputs(shared_data, names):
    """Statistics and LD of chromosome 21 of the reference data, and the sample sizes."""
    folder = shared_data / "reference"
    sizes = {"EUR": 200_000, "AFR": 40_000, "EAS": 100_000}
    from prs.inputs.plink1 import read_bim
    from prs.inputs.sumstats import read_sumstats
    from prs.ld.store import open_ld
    from prs.matching import match_variants

    bim, _ = read_bim(folder / "target.bim")
    ld, sumstats = {}, {}
    for name in names:
        panel = open_ld(folder / "panel", population=name, chromosomes=[21])
        match = match_variants(panel.variants, bim, palindromic="keep", by="id")
        ld[name] = panel.subset(np.sort(match.query_index))
        sumstats[name] = read_sumstats(
            folder / "sst" / f"{name}.se.txt", population=name, n=sizes[name]
        )
    return sumstats, ld, sizes


def parity(shared_data, tag, names, phi, seed, kind=ReferenceChains):
    """Run target="reference" on chromosome 21 and compare moments with two reference chains.

    We have four chains and they two, of one length; their laws should be one. The mean square of
    the difference of their means over its expectation, estimated within the sides, is 1 on
    average; as effects in LD move together a few tens of them count, and 2 is beyond their spread.
    """
    folder = shared_data / "reference"
    sumstats, ld, sizes = reference_inputs(shared_data, names)
    model = build_model(sumstats, ld, palindromic="keep", clean=False)
    run = settings(4, phi, n_iter=4000, n_burnin=1000, seed=seed)
    result = run_chains(model, run, kind)
    theirs = [np.load(folder / "out" / f"{tag}_seed{s}.npz") for s in (1, 2)]
    assert model.variants.id.tolist() == theirs[0]["snp"].tolist()
    letters = {"A": "T", "T": "A", "C": "G", "G": "C"}
    pairs = zip(model.variants.effect_allele, theirs[0]["a1"], strict=True)
    sign = np.array([1 if x in (y, letters[y]) else -1 for x, y in pairs])
    for k, name in enumerate(names):
        part = model.effects(k)
        turn = sign[model.index[part]]
        np.testing.assert_allclose(model.b[part] * turn, theirs[0][f"bmrg_{name}"], atol=1e-9)
        for ours, other in (
            (result.mean[:, part] * turn, [t[f"beta_std_{name}"] for t in theirs]),
            (result.square[:, part], [t[f"beta_std_sq_{name}"] for t in theirs]),
        ):
            other = np.array(other)
            scale = np.sqrt(other.mean(axis=0) ** 2 + 1e-12) if (ours > 0).all() else 1e-3
            gap = ((ours.mean(axis=0) - other.mean(axis=0)) / scale) ** 2
            within = (ours.var(axis=0, ddof=1) / 4 + other.var(axis=0, ddof=1) / 2) / scale**2
            assert gap.mean() < 2 * within.mean(), name
        sigma = result.sigma[:, 1000:, 0, k].mean()
        # sigma has sd sqrt(2/N) and hardly any autocorrelation over 6,000 iterations
        tolerance = 6 * np.sqrt(2 / sizes[name] / 1000)
        assert sigma == pytest.approx(np.mean([t["sigma"][k] for t in theirs]), abs=tolerance)
    psi = np.array([t["psi"] for t in theirs])
    gap = ((result.psi.mean(axis=0) - psi.mean(axis=0)) ** 2).mean()
    within = (result.psi.var(axis=0, ddof=1) / 4 + psi.var(axis=0, ddof=1) / 2).mean()
    assert gap < 2.5 * within
    if phi is None:
        logs = np.log([t["tr_phi"][1000:] for t in theirs])
        ours = np.log(result.phi[:, 1000:, 0])
        ess = effective_sample_size(logs) * 0.5
        assert abs(ours.mean() - logs.mean()) < 4 * logs.std() * np.sqrt(2 / ess)


@pytest.mark.skipif(INTERPRETED, reason="4,000 iterations need the compiled kernels")
def test_parity_fixed_phi(shared_data):
    parity(shared_data, "EUR_AFR_phi1e-2", ["EUR", "AFR"], 1e-2, 11)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ReferenceChains, BlockReferenceChains])
@pytest.mark.parametrize(
    "tag, names, phi",
    [
        ("EUR_AFR_phi1e-4", ["EUR", "AFR"], 1e-4),
        ("EUR_AFR_auto", ["EUR", "AFR"], None),
        ("EUR_auto", ["EUR"], None),
        ("EUR_AFR_EAS_auto", ["EUR", "AFR", "EAS"], None),
    ],
)
def test_parity(shared_data, tag, names, phi, kind):
    parity(shared_data, tag, names, phi, 12, kind)


def test_drop_in_writes_the_reference_s_files(shared_data, tmp_path):
    folder = shared_data / "reference"
    files = run_like_reference(
        folder / "panel",
        folder / "target",
        [folder / "sst" / "EUR.se.txt", folder / "sst" / "AFR.p.txt"],
        [200_000, 40_000],
        ["EUR", "AFR"],
        out_dir=tmp_path,
        out_name="run",
        chromosomes=[21],
        n_iter=10 if INTERPRETED else 400,
        meta=True,
        phi=1e-2,
    ).files
    assert [f.name for f in files] == [
        f"run_{name}_pst_eff_a1_b0.5_phi1e-02_chr21.txt" for name in ("EUR", "AFR", "META")
    ]
    for file in files:
        label = file.name.split("_")[1]
        theirs = (
            folder / "out" / f"EUR_AFR_phi1e-2_seed1_{label}_pst_eff_a1_b0.5_phi1e-02_chr21.txt"
        )
        ours = [line.split("\t") for line in file.read_text().splitlines()]
        other = [line.split("\t") for line in theirs.read_text().splitlines()]
        assert [row[:5] for row in ours] == [row[:5] for row in other]
        a, b = (np.array([float(row[5]) for row in rows]) for rows in (ours, other))
        assert np.corrcoef(a, b)[0, 1] > (0.5 if INTERPRETED else 0.95)  # signs and scale
    with pytest.raises(SettingsError, match="META"):
        run_like_reference(
            folder / "panel", folder / "target", [folder / "sst" / "EUR.se.txt"], [1], ["EUR"],
            out_dir=tmp_path, out_name="x", write_pst=True,
        )  # fmt: skip
