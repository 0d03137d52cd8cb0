"""People in two studies at once: the intercept of an LD-score regression sees them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from prs.doctor.examine import Source, check
from prs.doctor.shared_people import (
    MARGIN,
    MIN_PIECES,
    PIECE,
    LdScores,
    cross_ld_scores,
    intercept,
    ld_of_genotypes,
    ld_of_panel,
)
from prs.inputs.cohort import read_cohort
from prs.inputs.genotypes import open_genotypes
from prs.ld.reference import LDReference
from prs.samples import match_samples
from prs.variants import VariantTable

DEMO = Path(__file__).parents[1] / "data" / "demo"
BLOCKS, SIZE = 40, 240
M = BLOCKS * SIZE


def panel(rng: np.random.Generator) -> LDReference:
    """Blocks of neighbours whose correlation with the next one is anything from 0.2 to 0.98."""
    blocks = []
    for _ in range(BLOCKS):
        steps = np.cumsum([0, *-np.log(rng.uniform(0.2, 0.98, SIZE - 1))])
        blocks.append(np.exp(-np.abs(np.subtract.outer(steps, steps))).astype(np.float32))
    letters = np.array(["A"] * M, object), np.array(["C"] * M, object)
    names = np.array([f"rs{i}" for i in range(M)], object)
    variants = VariantTable(np.ones(M, np.int8), np.arange(M) * 1000 + 1, names, *letters)
    return LDReference.from_blocks(variants, np.full(M, 0.3), blocks)


def two_studies(
    ld: LDReference, rng: np.random.Generator, shared: float, alike: float
) -> tuple[np.ndarray, np.ndarray]:
    """z of two studies: effects of correlation `alike`, errors of correlation `shared`."""
    z1, z2 = np.empty(M), np.empty(M)
    for at, block in ld.blocks():
        r = block.astype(float)
        root = np.linalg.cholesky(r + 1e-6 * np.eye(len(r)))
        effects, errors = rng.standard_normal((2, len(r))), rng.standard_normal((2, len(r)))
        effects[1] = alike * effects[0] + np.sqrt(1 - alike**2) * effects[1]
        errors[1] = shared * errors[0] + np.sqrt(1 - shared**2) * errors[1]
        z1[at] = 0.4 * r @ effects[0] + root @ errors[0]
        z2[at] = 0.4 * r @ effects[1] + root @ errors[1]
    return z1, z2


@pytest.mark.parametrize("shared, alike", [(0.0, 0.0), (0.0, 1.0), (0.5, 0.0), (0.5, 1.0)])
def test_the_intercept_is_what_people_share_and_not_what_the_traits_share(shared, alike):
    rng = np.random.default_rng(4)
    ld = panel(rng)
    z1, z2 = two_studies(ld, rng, shared, alike)
    correlations = ld_of_panel(ld)
    rows = np.arange(M)
    scores = cross_ld_scores((correlations, rows), (correlations, rows), np.ones(M), np.ones(M))
    found = intercept(z1, z2, scores)
    assert 0 < found.error < 0.1
    assert abs(found.value - shared) < 4 * found.error
    if alike and not shared:  # where the plain correlation says that everybody is in both
        assert np.corrcoef(z1, z2)[0, 1] > 0.2

    def backwards(rows: np.ndarray) -> np.ndarray:
        return correlations(np.sort(M - 1 - rows))[::-1, ::-1]

    turned = cross_ld_scores(  # the second panel in another order
        (correlations, rows), (backwards, M - 1 - rows), np.ones(M), np.ones(M)
    )
    np.testing.assert_allclose(turned.score, scores.score)


def test_ld_scores_by_plain_sums(shared_data):
    genotypes = open_genotypes(str(shared_data / "geno/kg_eur_hm3_chr22"))
    rows = np.arange(0, 2 * PIECE * 3, 3)
    correlations = ld_of_genotypes(genotypes)
    scores = cross_ld_scores((correlations, rows), (correlations, rows), np.ones(len(rows)),
                             genotypes.variants.chrom[rows], genotypes.n_samples)  # fmt: skip
    first = scores.index[scores.piece == 0]
    assert list(first) == list(range(MARGIN, PIECE - MARGIN))
    dosages = genotypes.read_dosages(rows[:PIECE], dtype=np.float64)
    r2 = np.corrcoef(dosages.T) ** 2
    naive = [
        sum(r2[j, k] - (1 - r2[j, k]) / (genotypes.n_samples - 2) for k in range(PIECE))
        for j in first[:10]
    ]
    # correlations are kept as float32, squares summed over 400 variants
    np.testing.assert_allclose(scores.score[:10], naive, atol=400 * 2 * np.finfo(np.float32).eps)


def test_too_little_says_nothing():
    few = LdScores(np.arange(5), np.ones(5), np.arange(5))
    assert np.isnan(intercept(np.ones(5), np.ones(5), few).value)
    assert MIN_PIECES > 5
    none = cross_ld_scores((None, np.arange(9)), (None, np.arange(9)), np.ones(9), np.ones(9))  # type: ignore[arg-type]
    assert len(none.index) == 0


@pytest.fixture(scope="module")
def cohort():
    return read_cohort(DEMO / "cohort.tsv", outcome="trait", labels=["ancestry"], split="split")


def gwas_of_the_target(path: Path, cohort, n: int) -> Path:
    """Write statistics of `n` of the target's tuning people, computed within ancestries."""
    target = open_genotypes(str(DEMO / "target"))
    people = cohort.tuning()
    mine, rows = match_samples(people.samples, target.samples)
    mine, rows = mine[:n], rows[:n]
    third = np.arange(0, target.n_variants, 3)  # enough to tell
    x, y = target.read_dosages(third, samples=rows, dtype=np.float32), people.outcome[mine]
    x, y = np.where(np.isnan(x), np.nanmean(x, axis=0), x), y.astype(float)
    groups = people.labels["ancestry"][mine]
    eaf = x.mean(axis=0) / 2
    for group in np.unique(groups):
        inside = groups == group
        x[inside] -= x[inside].mean(axis=0)
        y[inside] -= y[inside].mean()
    keep = x.std(axis=0) > 0.1
    z = x[:, keep].T @ y / (x[:, keep].std(axis=0) * y.std() * np.sqrt(n))
    se = 1 / (x[:, keep].std(axis=0) * np.sqrt(n))
    frame = target.variants.take(third[keep]).to_frame()
    frame = frame.assign(beta=z * se, se=se, eaf=eaf[keep], n=n)
    frame.to_csv(path, sep="\t", index=False)
    return path


def test_a_gwas_of_the_targets_own_people_is_caught(tmp_path, cohort):
    path = gwas_of_the_target(tmp_path / "own.tsv", cohort, 2000)
    report = check({"ALL": Source(path)}, target=DEMO / "target", cohort=cohort)
    (found,) = report.named("sample_overlap")
    assert found.verdict == "fail", report
    assert "are in the GWAS, too" in found.figure


def test_one_gwas_given_twice_shares_all_its_people(cohort):
    eas = DEMO / "sumstats" / "trait.EAS.tsv.gz"
    target = open_genotypes(str(DEMO / "target"))
    here = target.subset(
        samples=match_samples(
            cohort.samples.take(cohort.labels["ancestry"] == "EAS"), target.samples
        )[1]
    )
    source = Source(eas, reference=here)
    report = check({"A": source, "B": replace(source)}, kind="quantitative")
    (found,) = report.named("sample_overlap")
    assert found.verdict == "warn", report
    alone = check({"A": source}, kind="quantitative").named("sample_overlap")
    assert [f.figure.partition(" of")[0] for f in alone] == ["cannot be told"]
