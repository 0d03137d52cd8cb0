"""Principal components, projection, ancestry labels, normalised scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from prs.ancestry import assign_ancestry, compute_pcs, normalise_scores, project, prune_by_ld
from prs.ancestry.components import _turn_back
from prs.ancestry.normalisation import _fit_moments
from prs.errors import AncestryDataError, OverlapError, SettingsError
from prs.inputs.genotypes import Genotypes, open_genotypes
from prs.inputs.plink_write import write_bed
from prs.samples import SampleTable
from prs.variants import VariantTable

N, M = 300, 500


def make_variants(n: int, *, swap: bool = False, step: int = 10_000) -> VariantTable:
    letters = ("G", "A") if swap else ("A", "G")
    return VariantTable(
        chrom=np.repeat([1, 2], [n // 2, n - n // 2]).astype(np.int8),
        pos=(1000 + step * np.arange(n)).astype(np.int32),
        id=np.array([f"rs{k}" for k in range(n)], dtype=object),
        effect_allele=np.full(n, letters[0], dtype=object),
        other_allele=np.full(n, letters[1], dtype=object),
    )


@pytest.fixture(scope="module")
def calls() -> np.ndarray:
    """Three drifted populations in equal parts, independent variants, 1 % missing."""
    rng = np.random.default_rng(3)
    base = rng.uniform(0.2, 0.8, M)
    f = np.clip(base + rng.normal(0, 0.12, (3, M)), 0.05, 0.95)
    x = rng.binomial(2, np.repeat(f, N // 3, axis=0)).astype(float)
    x[rng.random(x.shape) < 0.01] = np.nan
    return x


@pytest.fixture(scope="module")
def genotypes(calls: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Genotypes:
    prefix = tmp_path_factory.mktemp("pcs") / "three"
    write_bed(prefix, calls, make_variants(M), SampleTable.from_ids(range(N)))
    return open_genotypes(prefix)


def test_pcs_are_those_of_a_full_decomposition(genotypes: Genotypes, calls: np.ndarray) -> None:
    pcs = compute_pcs(genotypes, n_components=2, r2=1.0)
    f = np.nanmean(calls, axis=0) / 2
    z = np.nan_to_num((calls - 2 * f) / np.sqrt(2 * f * (1 - f)))
    U, D, _ = np.linalg.svd(z, full_matrices=False)
    # 6 power iterations from 12 directions: error below (d_13 / d_2)^13 < 1e-3 of a bulk
    # direction here, and float32 products (1e-6)
    gap = (D[12] / D[1]) ** 13
    assert gap < 1e-3
    np.testing.assert_allclose(pcs.singular_values, D[:2], rtol=gap**2 + 1e-5)
    agreement = np.abs((pcs.scores / pcs.singular_values * U[:, :2]).sum(axis=0))
    np.testing.assert_allclose(agreement, 1.0, atol=gap**2 + 1e-5)
    assert (pcs.loadings[np.abs(pcs.loadings).argmax(axis=0), [0, 1]] > 0).all()
    again = compute_pcs(genotypes, n_components=2, r2=1.0)
    np.testing.assert_array_equal(pcs.scores, again.scores)


def test_components_are_the_same_bits_for_any_threads_of_blas(genotypes: Genotypes) -> None:
    made = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            made.append(compute_pcs(genotypes, n_components=2, r2=1.0))
    np.testing.assert_array_equal(made[0].scores, made[1].scores)
    np.testing.assert_array_equal(made[0].loadings, made[1].loadings)


def test_pruning_keeps_no_pair_above_the_threshold(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    n, m = 400, 240
    latent = rng.normal(size=(n, m // 4)).repeat(4, axis=1) + 0.6 * rng.normal(size=(n, m))
    x = np.digitize(latent, [-0.6, 0.6]).astype(float)
    write_bed(tmp_path / "g", x, make_variants(m), SampleTable.from_ids(range(n)))
    genotypes = open_genotypes(tmp_path / "g")
    kept = prune_by_ld(genotypes, r2=0.2, window_kb=100)
    chrom, pos = genotypes.variants.chrom[kept], genotypes.variants.pos[kept].astype(int)
    near = (chrom[:, None] == chrom) & (np.abs(pos[:, None] - pos) <= 100_000)
    r2 = np.corrcoef(x[:, kept].T) ** 2
    np.fill_diagonal(r2, 0)
    assert r2[near].max() <= 0.2
    # greedy, by position: the first of each group of four stays
    assert set(range(0, m, 4)) <= set(kept.tolist())
    # and each one that went had a kept neighbour above the threshold
    for lost in np.setdiff1d(np.arange(m), kept):
        own = np.abs(kept - lost) <= 10
        r = np.array([np.corrcoef(x[:, lost], x[:, k])[0, 1] for k in kept[own]])
        assert (r**2 > 0.2).any()
    assert len(prune_by_ld(genotypes, r2=1.0, max_variants=50)) == 50


def test_projection_finds_the_reference_itself_whatever_the_alleles(
    genotypes: Genotypes, calls: np.ndarray, tmp_path: Path
) -> None:
    pcs = compute_pcs(genotypes, n_components=2, r2=1.0)
    order = np.random.default_rng(1).permutation(M)
    variants = make_variants(M, swap=True).take(order)
    write_bed(tmp_path / "s", 2 - calls[:, order], variants, SampleTable.from_ids(range(N)))
    placed = project(pcs, open_genotypes(tmp_path / "s"), method="simple")
    # float32 products of M terms of size 1: M * 6e-8 of each term
    np.testing.assert_allclose(placed, pcs.scores, atol=1e-3)

    fewer = genotypes.subset(variants=np.arange(0, M, 2))
    with pytest.raises(OverlapError, match="50% of the 500"):
        project(pcs, fewer, min_overlap=0.6)
    part = project(pcs, fewer, method="simple", min_overlap=0.3)
    for k in range(2):
        # the same axes and scale from half of the variants, up to their noise
        assert abs(np.polyfit(pcs.scores[:, k], part[:, k], 1)[0] - 1) < 0.15


def test_oadp_undoes_the_shrinkage(genotypes: Genotypes) -> None:
    reference = np.arange(N) % 2 == 0
    pcs = compute_pcs(genotypes, n_components=2, samples=reference, r2=1.0)
    new = genotypes.subset(samples=~reference)
    group = np.repeat([0, 1, 2], N // 3)

    def slope(method: str) -> np.ndarray:
        placed = project(pcs, new, method=method)
        a = np.array([pcs.scores[group[reference] == g].mean(axis=0) for g in range(3)])
        b = np.array([placed[group[~reference] == g].mean(axis=0) for g in range(3)])
        return (a * b).sum(axis=0) / (a**2).sum(axis=0)

    # Centroids of 50 people: the noise of one coordinate is about 1 a person (a unit vector
    # times standardised genotypes), so sqrt(2 / 50) a centroid; the slope's standard error is
    # that over the root of the centroids' sum of squares, D^2 / 50 at most.
    error = np.sqrt(2 / 50) / np.sqrt(pcs.singular_values**2 / 50)
    assert (slope("simple") < 1 - 4 * error[1]).any()
    assert (np.abs(slope("oadp") - 1) < np.abs(slope("simple") - 1)).all()
    with pytest.raises(SettingsError, match="oadp"):
        project(pcs, new, method="other")  # type: ignore[arg-type]


def test_turning_back_is_a_full_decomposition_with_procrustes() -> None:
    rng = np.random.default_rng(8)
    n, m, k = 30, 40, 3
    U = np.linalg.qr(rng.normal(size=(n, k)))[0]
    V = np.linalg.qr(rng.normal(size=(m, k)))[0]
    D = np.array([30.0, 20.0, 12.0])
    new = rng.normal(size=(5, m)) + 4 * V[:, 0]
    inner = new @ V
    residual = np.sqrt((new**2).sum(axis=1) - (inner**2).sum(axis=1))
    fast = _turn_back(D, inner, residual)
    for row, expected in zip(new, fast, strict=True):
        A, S, _ = np.linalg.svd(np.vstack([U * D @ V.T, row]), full_matrices=False)
        W = A[:, :k] * S[:k]
        P, L, Qt = np.linalg.svd(W[:n].T @ (U * D))
        naive = L.sum() / (W[:n] ** 2).sum() * W[n] @ P @ Qt
        np.testing.assert_allclose(expected, naive, rtol=1e-9, atol=1e-9)


def test_labels_are_withheld_between_and_far_from_groups() -> None:
    rng = np.random.default_rng(2)
    reference = np.concatenate([rng.normal(c, 1, (60, 2)) for c in ((0, 0), (12, 0), (0, 12))])
    labels = np.repeat(["a", "b", "c"], 60).astype(object)
    found = assign_ancestry(reference, labels, [[0, 0], [12, 1], [6, 0], [40, 40]])
    assert found.label.tolist() == ["a", "b", "unassigned", "unassigned"]
    np.testing.assert_allclose(found.probability.sum(axis=1), 1.0)
    with pytest.raises(AncestryDataError, match="group 'd' has 1 people"):
        assign_ancestry(np.vstack([reference, [[1, 1]]]), [*labels, "d"], reference)


def test_normalised_scores_in_the_reference() -> None:
    rng = np.random.default_rng(4)
    n = 4000
    pcs = rng.normal(size=(n, 2)) * [3.0, 1.0]
    score = 5 + 2 * pcs[:, 0] + np.exp(0.3 * pcs[:, 1]) * rng.normal(size=n)
    z1 = normalise_scores(score, pcs, score, pcs, method="mean")
    # exact properties of least squares
    np.testing.assert_allclose([z1.reference.mean(), z1.reference.std()], [0, 1], atol=1e-9)
    np.testing.assert_array_equal(z1.reference, z1.target)
    z2 = normalise_scores(np.column_stack([score, -score]), pcs, score[:, None] * [1, -1], pcs)
    np.testing.assert_allclose(z2.reference[:, 0], -z2.reference[:, 1], atol=1e-6)
    low, high = z2.target[pcs[:, 1] < -1, 0], z2.target[pcs[:, 1] > 1, 0]
    # the SD of a normal sample of m has standard error 1 / sqrt(2 m)
    for part in (low, high):
        assert abs(part.std() - 1) < 4 / np.sqrt(2 * len(part))
    assert z1.target[pcs[:, 1] > 1].std() > 1.3

    labels = np.where(pcs[:, 0] > 0, "x", "y").astype(object)
    near = normalise_scores(
        score,
        pcs,
        score[:3],
        pcs[:3],
        method="empirical",
        reference_labels=labels,
        target_labels=["x", "y", "?"],
    )
    own = score[labels == "x"]
    assert near.target[0] == pytest.approx((score[0] - own.mean()) / own.std())
    assert np.isnan(near.target[2])
    with pytest.raises(SettingsError, match="labels"):
        normalise_scores(score, pcs, score, pcs, method="empirical")
    with pytest.raises(AncestryDataError, match="too few"):
        normalise_scores(score[:5], pcs[:5], score, pcs)


def test_moments_are_the_maximum_of_the_likelihood() -> None:
    rng = np.random.default_rng(6)
    n = 3000
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    a, c = np.array([1.0, 0.5, -0.2]), np.array([0.3, 0.0, 0.4])
    y = X @ a + np.exp(0.5 * X @ c) * rng.normal(size=n)
    a_hat, c_hat = _fit_moments(X, y, both=True)
    w = np.exp(-X @ c_hat)
    e = y - X @ a_hat
    # The gradients are zero there. The deviance is within 1e-10 n of its minimum, and near it
    # is quadratic with curvature of order n: parameters are within 1e-5 sqrt(2).
    assert np.abs(X.T @ (w * e)).max() / n < 1e-4
    assert np.abs(X.T @ (w * e**2 - 1)).max() / n < 1e-4
    # Fisher information: X'WX for the mean, X'X / 2 for the log variance
    se_a = np.sqrt(np.diag(np.linalg.inv(X.T @ (X * w[:, None]))))
    se_c = np.sqrt(np.diag(np.linalg.inv(X.T @ X / 2)))
    assert (np.abs(a_hat - a) < 4 * se_a).all()
    assert (np.abs(c_hat - c) < 4 * se_c).all()


def test_too_many_components_are_refused(genotypes: Genotypes) -> None:
    with pytest.raises(SettingsError, match="cannot be computed"):
        compute_pcs(genotypes, n_components=N)


@pytest.mark.slow
def test_superpopulations_of_1000_genomes(shared_data: Path) -> None:
    """Half of the people held out: 99 % of them get their superpopulation back."""
    genotypes = open_genotypes(shared_data / "geno" / "kg3_sites")
    table = pd.read_csv(shared_data / "geno" / "kg3.pop.tsv", sep="\t").set_index("IID")
    label = table["SUPERPOP"].reindex(genotypes.samples.iid).to_numpy(dtype=object)
    reference = np.random.default_rng(1).random(genotypes.n_samples) < 0.5
    pcs = compute_pcs(genotypes, n_components=6, samples=reference)
    placed = project(pcs, genotypes.subset(samples=~reference))
    found = assign_ancestry(pcs.scores, label[reference], placed, min_probability=0.5)
    assert (found.label == label[~reference]).mean() >= 0.99


def test_long_range_ld_is_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    variants = make_variants(400, step=250_000)  # chromosome 1 to 50 Mb, chromosome 2 to 100 Mb
    x = rng.binomial(2, 0.4, (200, 400)).astype(float)
    write_bed(tmp_path / "g", x, variants, SampleTable.from_ids(range(200)))
    genotypes = open_genotypes(tmp_path / "g")
    kept = prune_by_ld(genotypes, r2=1.0)
    chrom, pos = genotypes.variants.chrom, genotypes.variants.pos
    inside = ((chrom == 1) & (pos >= 48e6)) | ((chrom == 2) & (pos >= 86e6) & (pos <= 100.5e6))
    assert inside.sum() > 20
    np.testing.assert_array_equal(kept, np.flatnonzero(~inside))
    assert len(prune_by_ld(genotypes, r2=1.0, long_range=True)) == 400
