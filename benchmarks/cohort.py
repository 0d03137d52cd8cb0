"""A large cohort with real LD: mosaics of phased haplotypes, written as a PLINK 1 fileset.

Each new haplotype copies one of the given ones and changes its source along the chromosome
(Li & Stephens 2003), so that LD within some hundred kilobases is that of the source. One
chromosome of haplotypes serves for all: each new chromosome is a mosaic of its own.

    python -m benchmarks.cohort FOLDER --people 10000 --variants 100000
"""

from __future__ import annotations

import argparse
import json
import lzma
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from prs.inputs.plink1 import read_bim

__all__ = ["make_cohort"]

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_HAPLOTYPES = ROOT.parent / "shared" / "data" / "geno" / "kg1_chr22"
#: Base pairs after which a new haplotype changes its source, on average.
SEGMENT = 1_000_000.0
CAUSAL_SHARE = 0.005


def load_haplotypes(prefix: Path) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """Return variants (id, pos, A1, A2) and haplotypes (variants x haplotypes, 1 = A1)."""
    packed = prefix.with_name(prefix.name + ".haps.packbits.npy.xz")
    if packed.exists():
        variants, _ = read_bim(prefix.with_name(prefix.name + ".bim"))
        with lzma.open(packed) as stream:
            bits = np.unpackbits(np.load(stream), axis=1)
        n_people = len(prefix.with_name(prefix.name + ".fam").read_text().splitlines())
        return variants.to_frame(), bits[:, : 2 * n_people]
    import msprime

    trees = msprime.sim_mutations(
        msprime.sim_ancestry(
            1000,
            population_size=10_000,
            recombination_rate=1e-8,
            sequence_length=30_000_000,
            random_seed=1,
        ),
        rate=1e-8,
        random_seed=1,
        model=msprime.BinaryMutationModel(),
    )
    bits = trees.genotype_matrix().astype(np.uint8)
    pos = trees.tables.sites.position.astype(np.int64) + 1
    keep = np.flatnonzero((bits.sum(1) > 10) & np.r_[True, np.diff(pos) > 0])[::2]
    pos = pos[keep]
    frame = pd.DataFrame(
        {"id": [f"v{p}" for p in pos], "pos": pos, "effect_allele": "A", "other_allele": "G"}
    )
    return frame, bits[keep]


def make_cohort(
    folder: Path,
    n_people: int = 10_000,
    n_variants: int = 100_000,
    *,
    missing: float = 0.01,
    haplotypes: Path = DEFAULT_HAPLOTYPES,
    n_columns: int = 50,
    seed: int = 1,
) -> Path:
    """Write cohort.bed/.bim/.fam, a GWAS of a trait (cohort.assoc) and weights (cohort.score).

    Returns the prefix. Nothing is done where the same cohort is there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prefix = folder / "cohort"
    mark = {
        "format": 2,
        "people": n_people,
        "variants": n_variants,
        "missing": missing,
        "seed": seed,
    }
    done = folder / "cohort.json"
    if done.exists() and json.loads(done.read_text()) == mark:
        return prefix
    source, haps = load_haplotypes(haplotypes)
    rng = np.random.default_rng(seed)
    pos = source["pos"].to_numpy()
    move = -np.expm1(-np.diff(pos, prepend=pos[0]) / SEGMENT)
    n_bytes = -(-n_people // 4)
    polymorphic = np.flatnonzero((haps.sum(1) > 0) & (haps.sum(1) < haps.shape[1]))
    rows: list[tuple[int, int]] = []
    trait = np.zeros(n_people)
    codes = np.array([3, 2, 0], dtype=np.uint8)
    n_chromosomes = -(-n_variants // len(polymorphic))
    noise = rng.normal(size=n_people)
    with prefix.with_suffix(".bed").open("wb") as bed:
        bed.write(b"\x6c\x1b\x01")
        for chrom in range(1, n_chromosomes + 1):
            here = polymorphic[: n_variants - len(rows)]
            origin = rng.integers(0, haps.shape[1], 2 * n_people).astype(np.int32)
            for v in here:
                n_new = rng.binomial(2 * n_people, move[v])
                if n_new:
                    origin[rng.integers(0, 2 * n_people, n_new)] = rng.integers(
                        0, haps.shape[1], n_new
                    )
                alleles = haps[v][origin]
                dosage = alleles[:n_people] + alleles[n_people:]
                if rng.random() < CAUSAL_SHARE and dosage.std() > 0:
                    trait += rng.normal() * (dosage - dosage.mean()) / dosage.std()
                code = np.zeros(4 * n_bytes, dtype=np.uint8)
                code[:n_people] = codes[dosage]
                code[rng.integers(0, n_people, rng.binomial(n_people, missing))] = 1
                quads = code.reshape(-1, 4)
                bed.write(
                    (quads[:, 0] | quads[:, 1] << 2 | quads[:, 2] << 4 | quads[:, 3] << 6).tobytes()
                )
                rows.append((chrom, v))
    table = source.iloc[[v for _, v in rows]].reset_index(drop=True)
    table["chrom"] = [c for c, _ in rows]
    table["id"] = [f"{c}_{n}" for c, n in zip(table["chrom"], table["id"], strict=True)]
    table.loc[table["id"].duplicated(), "id"] += "_b"
    table.insert(0, "cM", 0)
    table[["chrom", "id", "cM", "pos", "effect_allele", "other_allele"]].to_csv(
        prefix.with_suffix(".bim"), sep="\t", header=False, index=False
    )
    trait = trait / trait.std() + noise
    people = pd.DataFrame({"FID": 0, "IID": [f"i{i}" for i in range(n_people)]})
    people["father"] = people["mother"] = 0
    people["sex"] = 1 + np.arange(n_people) % 2
    people["pheno"] = 1 + (trait > np.quantile(trait, 0.7)).astype(int)
    people.to_csv(prefix.with_suffix(".fam"), sep="\t", header=False, index=False)
    _write_gwas(prefix, trait, table, rng)
    _write_weights(prefix, table, n_columns, rng)
    done.write_text(json.dumps(mark))
    return prefix


def _write_gwas(
    prefix: Path, trait: NDArray[np.float64], table: pd.DataFrame, rng: np.random.Generator
) -> None:
    """Regress the trait on each variant (in people of its own noise) and write BETA, SE, P."""
    from prs import open_genotypes

    y = trait + rng.normal(size=len(trait))
    y = (y - y.mean()) / y.std()
    r = []
    for _, X in open_genotypes(prefix).iter_dosages(2048):
        X = np.where(np.isnan(X), np.nanmean(X, axis=0), X)
        X = X - X.mean(axis=0)
        sd = X.std(axis=0)
        r.append((X.T @ y) / len(y) / np.where(sd > 0, sd, np.inf))
    z = np.concatenate(r) * np.sqrt(len(y))
    frame = pd.DataFrame(
        {
            "CHR": table["chrom"],
            "SNP": table["id"],
            "BP": table["pos"],
            "A1": table["effect_allele"],
            "A2": table["other_allele"],
            "BETA": z / np.sqrt(len(y)),
            "SE": 1 / np.sqrt(len(y)),
            "N": len(y),
            "P": np.clip(2 * ndtr(-np.abs(z)), 1e-300, 1),
        }
    )
    frame.to_csv(prefix.with_suffix(".assoc"), sep="\t", index=False, float_format="%.6g")


def _write_weights(
    prefix: Path, table: pd.DataFrame, n_columns: int, rng: np.random.Generator
) -> None:
    weights = pd.DataFrame(
        rng.normal(size=(len(table), n_columns)).round(6),
        columns=[f"W{i + 1}" for i in range(n_columns)],
    )
    for name, n in (("score", 1), (f"score{n_columns}", n_columns)):
        frame = pd.concat(
            [
                table[["chrom", "pos", "id", "effect_allele", "other_allele"]],
                weights.iloc[:, :n],
            ],
            axis=1,
        )
        frame.to_csv(prefix.with_suffix(f".{name}"), sep="\t", index=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--missing", type=float, default=0.01)
    parser.add_argument("--haplotypes", type=Path, default=DEFAULT_HAPLOTYPES)
    options = parser.parse_args()
    print(
        make_cohort(
            options.folder,
            options.people,
            options.variants,
            missing=options.missing,
            haplotypes=options.haplotypes,
        )
    )


if __name__ == "__main__":
    main()
