"""Principal components of thinned genotypes, and projection of new people on them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prs.cluster import one_blas_thread
from prs.errors import OverlapError, SettingsError
from prs.inputs.genotypes import Genotypes
from prs.inputs.regions import in_regions
from prs.matching import match_variants
from prs.samples import SampleTable
from prs.variants import VariantTable

__all__ = ["PrincipalComponents", "compute_pcs", "project", "prune_by_ld"]

log = logging.getLogger(__name__)

#: Variants read at once.
_BLOCK = 512
#: People from whom the LD for pruning is estimated.
_N_PRUNE = 1000
_OVERSAMPLING, _POWER_ITERATIONS = 10, 6


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Principal components of standardised genotypes: Z = U D V'.

    Attributes
    ----------
    variants : VariantTable
        The M variants used; loadings are for their effect allele.
    loadings : ndarray of float64, shape (M, K)
        V, orthonormal columns.
    mean, sd : ndarray of float64, shape (M,)
        Z = (dosage - mean) / sd: 2 f and sqrt(2 f (1 - f)); a missing call is 0.
    singular_values : ndarray of float64, shape (K,)
        D.
    scores : ndarray of float64, shape (N, K)
        U D: the coordinates of the people.
    samples : SampleTable
        The N people.
    """

    variants: VariantTable
    loadings: NDArray[np.float64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    singular_values: NDArray[np.float64]
    scores: NDArray[np.float64]
    samples: SampleTable

    @property
    def n_components(self) -> int:
        """K."""
        return len(self.singular_values)


def _standardise(
    dosages: NDArray[np.floating], mean: NDArray[np.float64], sd: NDArray[np.float64]
) -> NDArray[np.float32]:
    z = (dosages - mean.astype(np.float32)) / sd.astype(np.float32)
    np.nan_to_num(z, copy=False, nan=0.0)
    return np.asarray(z, dtype=np.float32)


@one_blas_thread()
def prune_by_ld(
    genotypes: Genotypes,
    *,
    r2: float = 0.2,
    window_kb: float = 500.0,
    min_maf: float = 0.01,
    max_missing: float = 0.05,
    max_variants: int | None = None,
    long_range: bool = False,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Choose autosomal variants that are nearly uncorrelated with each other.

    Variants are visited in order of position; one is kept if its squared dosage correlation
    with every kept one within the window is at most `r2`.

    Parameters
    ----------
    genotypes : Genotypes
        The people whose LD counts; 1,000 of them at most are used.
    r2 : float
        Largest squared correlation of two kept variants.
    window_kb : float
        Variants further apart than this are not compared.
    min_maf, max_missing : float
        Quality limits of a variant.
    max_variants : int, optional
        Keep at most so many, evenly spread.
    long_range : bool
        Whether regions of long-range LD (`prs.inputs.regions`) may be used.
    seed : int
        Choice of people.

    Returns
    -------
    ndarray of int64
        Indices into `genotypes.variants`, by chromosome and position.
    """
    counts = genotypes.allele_counts()
    eaf = counts.eaf
    variants = genotypes.variants
    with np.errstate(invalid="ignore"):  # NaN where nobody has a call: not good
        good = (np.minimum(eaf, 1 - eaf) >= min_maf) & (
            counts.missing <= max_missing * genotypes.n_samples
        )
    good &= (variants.chrom >= 1) & (variants.chrom <= 22)
    if not long_range:
        # components of such a region, not of ancestry, would come from it
        good &= ~in_regions(variants, ("long_range_ld",))
    order = np.lexsort((variants.pos, variants.chrom))
    candidates = order[good[order]]
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    people = np.sort(rng.permutation(genotypes.n_samples)[: min(_N_PRUNE, genotypes.n_samples)])

    kept: list[int] = []
    recent: list[tuple[int, int]] = []  # (chromosome, position) of the columns in `columns`
    columns = np.empty((len(people), 0), dtype=np.float32)
    for start in range(0, len(candidates), _BLOCK):
        block = candidates[start : start + _BLOCK]
        z = _unit_columns(genotypes.read_dosages(block, people))
        with_kept = z.T @ columns
        within = z.T @ z
        chosen: list[int] = []
        recent_at = np.array(recent, dtype=np.int64).reshape(-1, 2)
        chrom, pos = variants.chrom[block].astype(np.int64), variants.pos[block].astype(np.int64)
        for row in range(len(block)):
            if not z[:, row].any():
                continue  # does not vary among these people
            near = (recent_at[:, 0] == chrom[row]) & (
                pos[row] - recent_at[:, 1] <= window_kb * 1000
            )
            if np.any(with_kept[row, near] ** 2 > r2):
                continue
            here = [
                c
                for c in chosen
                if chrom[c] == chrom[row] and pos[row] - pos[c] <= window_kb * 1000
            ]
            if np.any(within[row, here] ** 2 > r2):
                continue
            chosen.append(row)
        kept.extend(int(block[row]) for row in chosen)
        columns = np.concatenate([columns, z[:, chosen]], axis=1)
        recent += [(int(chrom[row]), int(pos[row])) for row in chosen]
        inside = [
            i
            for i, (c, p) in enumerate(recent)
            if c == chrom[-1] and pos[-1] - p <= window_kb * 1000
        ]
        columns, recent = columns[:, inside], [recent[i] for i in inside]
    index = np.array(kept, dtype=np.int64)
    if max_variants is not None and len(index) > max_variants:
        index = index[np.linspace(0, len(index) - 1, max_variants).round().astype(np.int64)]
    return index


def _unit_columns(dosages: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return columns of mean 0 and length 1, missing calls at the mean; zeros if constant."""
    called = ~np.isnan(dosages)
    mean = np.where(called, dosages, 0).sum(axis=0) / np.maximum(called.sum(axis=0), 1)
    z = np.where(called, dosages - mean, 0)
    length = np.sqrt((z**2).sum(axis=0))
    return np.asarray(z / np.where(length > 1e-6, length, np.inf), dtype=np.float32)


@one_blas_thread()
def compute_pcs(
    genotypes: Genotypes,
    *,
    n_components: int = 10,
    samples: ArrayLike | None = None,
    r2: float = 0.2,
    window_kb: float = 500.0,
    min_maf: float = 0.01,
    max_missing: float = 0.05,
    max_variants: int | None = 50_000,
    seed: int = 0,
) -> PrincipalComponents:
    """Compute principal components of genotypes thinned by LD.

    Randomised subspace iteration (Halko, Martinsson & Tropp 2011, SIAM Review 53:217,
    algorithm 4.4) on standardised dosages, read block by block: the matrix is never whole in
    memory.

    Parameters
    ----------
    genotypes : Genotypes
        The data.
    n_components : int
        K.
    samples : index array or mask, optional
        The people to use (a reference, unrelated people); default: all.
    r2, window_kb, min_maf, max_missing, max_variants
        Choice of variants, see `prune_by_ld`.
    seed : int
        Randomness of the choice of people for LD, and of the start of the iteration.

    Returns
    -------
    PrincipalComponents
        The largest loading of each component is positive.

    Raises
    ------
    SettingsError
        If there are too few people or variants for so many components.
    """
    view = genotypes if samples is None else genotypes.subset(samples=samples)
    index = prune_by_ld(
        view,
        r2=r2,
        window_kb=window_kb,
        min_maf=min_maf,
        max_missing=max_missing,
        max_variants=max_variants,
        seed=seed,
    )
    if not 1 <= n_components < min(len(index), view.n_samples):
        raise SettingsError(
            f"{n_components} components of {view.n_samples:,} people and {len(index):,} variants "
            "(after thinning by LD) cannot be computed",
            remedy="fewer components, or a higher r2 or lower min_maf",
        )
    log.info("principal components of %d people, %d variants", view.n_samples, len(index))
    view = view.subset(variants=index)
    eaf = view.eaf()
    mean, sd = 2 * eaf, np.sqrt(2 * eaf * (1 - eaf))

    def multiply(right: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return Z Z'Q and Z'Q for Q = `right`."""
        product = np.zeros_like(right)
        inner = np.empty((view.n_variants, right.shape[1]))
        q = right.astype(np.float32)
        for block, dosages in view.iter_dosages(_BLOCK):
            z = _standardise(dosages, mean[block], sd[block])
            inner[block] = z.T @ q
            product += z @ inner[block].astype(np.float32)
        return product, inner

    rng = np.random.default_rng(np.random.SeedSequence(seed))
    width = min(n_components + _OVERSAMPLING, view.n_samples, view.n_variants)
    Q = rng.normal(size=(view.n_samples, width))
    for _ in range(_POWER_ITERATIONS):
        Q, _r = np.linalg.qr(Q)
        Q, _inner = multiply(Q)
    Q, _r = np.linalg.qr(Q)
    _product, inner = multiply(Q)
    V, D, Wt = np.linalg.svd(inner, full_matrices=False)  # Z'Q = V D W', Z ~ (Q W) D V'
    V, D, U = V[:, :n_components], D[:n_components], (Q @ Wt.T)[:, :n_components]
    sign = np.where(V[np.abs(V).argmax(axis=0), np.arange(n_components)] < 0, -1.0, 1.0)
    return PrincipalComponents(view.variants, V * sign, mean, sd, D, U * D * sign, view.samples)


@one_blas_thread()
def project(
    pcs: PrincipalComponents,
    genotypes: Genotypes,
    *,
    method: Literal["oadp", "simple"] = "oadp",
    min_overlap: float = 0.5,
) -> NDArray[np.float64]:
    """Place people on the components of a reference.

    ``simple`` takes Z_new V, which is shrunk towards zero when there are more variants than
    reference people. ``oadp`` (online augmentation, decomposition and Procrustes; Zhang, Dey &
    Lee 2020, Bioinformatics 36:3439) adds each person to the decomposition and turns the
    result back onto the reference, which removes most of that bias.

    Parameters
    ----------
    pcs : PrincipalComponents
        The reference.
    genotypes : Genotypes
        The people to place; variants are found by position or id and alleles. Coordinates are
        solved for from the variants that both have.
    method : {"oadp", "simple"}
        See above.
    min_overlap : float
        Least share of the reference's variants that must be found.

    Returns
    -------
    ndarray of float64, shape (N, K)

    Raises
    ------
    OverlapError
        If too few variants are found.
    """
    if method not in ("oadp", "simple"):
        raise SettingsError(f"method={method!r} is not one of 'oadp', 'simple'")
    match = match_variants(
        pcs.variants,
        genotypes.variants,
        query_eaf=pcs.mean / 2,
        target_eaf=genotypes.eaf(),
        palindromic="keep",
        what="the principal components",
        target_name="the genotypes",
        min_overlap=0.0,
    )
    share = len(match.query_index) / len(pcs.variants)
    if share < min_overlap:
        raise OverlapError(
            f"{share:.0%} of the {len(pcs.variants):,} variants of the principal components are "
            f"among the genotypes; at least {min_overlap:.0%} are needed",
            remedy="use genotypes with these variants, or compute components on common ones",
        )
    order = np.argsort(match.target_index, kind="stable")
    query, sign = match.query_index[order], match.sign[order].astype(np.float64)
    view = genotypes.subset(variants=match.target_index[order])
    mean = np.where(sign > 0, pcs.mean[query], 2 - pcs.mean[query])
    sd = pcs.sd[query] * sign
    V = pcs.loadings[query]
    inner = np.zeros((view.n_samples, pcs.n_components))
    length = np.zeros(view.n_samples)
    for block, dosages in view.iter_dosages(_BLOCK):
        z = _standardise(dosages, mean[block], sd[block])
        inner += z @ V[block]
        length += np.einsum("ij,ij->i", z, z, dtype=np.float64)
    # without some variants V is no longer orthonormal: least squares, and the length scaled
    simple: NDArray[np.float64] = np.linalg.solve(V.T @ V, inner.T).T.astype(np.float64)
    if method == "simple":
        return simple
    residual = np.maximum(length / share - (simple**2).sum(axis=1), 0)
    return _turn_back(pcs.singular_values, simple, np.sqrt(residual))


def _turn_back(
    D: NDArray[np.float64], simple: NDArray[np.float64], residual: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Add each person to the decomposition, and turn it back onto the reference.

    With Z = U D V', a new row z = l V' + g h' (h a unit vector beyond V) gives the matrix
    [[D, 0], [l, g]] in the bases diag(U, 1) and [V, h]; its singular vectors A and values S
    are those of the augmented data, so that the reference's new coordinates are U W with
    W = (A S)[:K, :K], and the person's w = (A S)[K, :K]. The Procrustes map of U W onto U D
    is rho C with Wt D = P L Q', C = P Q', rho = sum(L) / |W|^2.
    """
    n, k = simple.shape
    augmented = np.zeros((n, k + 1, k + 1))
    augmented[:, np.arange(k), np.arange(k)] = D
    augmented[:, k, :k] = simple
    augmented[:, k, k] = residual
    A, S, _ = np.linalg.svd(augmented)
    coordinates = A[:, :, :k] * S[:, None, :k]
    W, w = coordinates[:, :k], coordinates[:, k]
    P, L, Qt = np.linalg.svd(np.swapaxes(W, 1, 2) * D)
    rho = L.sum(axis=1) / (W**2).sum(axis=(1, 2))
    turned: NDArray[np.float64] = rho[:, None] * np.einsum("nk,nkj->nj", w, P @ Qt)
    return turned
