"""What each program does with a simulated study: everybody's scores, one column a method.

    python -m benchmarks.methods METHOD FOLDER OUT.npz [--iterations N]

is a process of its own, so that its time and its peak of memory are of the whole method, files
to scores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.genotypes import plink

MAIN = "EUR"
THRESHOLDS = (5e-8, 1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.5, 1.0)


@dataclass(frozen=True)
class Study:
    """A simulated study as the methods see it."""

    folder: Path
    n_gwas: dict[str, int]
    iterations: int | None = None

    def sumstats(self, population: str) -> Path:
        """Return the file of one GWAS of the trait."""
        return next((self.folder / "sumstats").glob(f"trait.{population}.*"))


@dataclass(frozen=True)
class Result:
    """Columns of scores of one program, and what they cost."""

    ids: np.ndarray
    columns: dict[str, np.ndarray]
    wall: float
    cpu: float
    peak_mb: float
    chosen_from: tuple[str, ...] = field(default=())


#: Starts a program from a process that is itself small: a child's peak begins with its parent's.
_LAUNCH = """
import json, os, sys, time
start = time.perf_counter()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(process, 0)
seconds = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
print(json.dumps((*seconds, usage.ru_maxrss / 1024, status)))
"""


def run(command: list[str], threads: int) -> tuple[float, float, float]:
    """Run a command; return wall seconds, CPU seconds and peak memory (MB).

    Raises
    ------
    RuntimeError
        If it fails.
    """
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, "-S", "-c", _LAUNCH, *command],
        capture_output=True, text=True, check=True,
        env={**os.environ, **dict.fromkeys(names, str(threads))},
    )  # fmt: skip
    *printed, last = done.stdout.strip().split("\n")
    wall, cpu, peak, status = json.loads(last)
    if status:
        said = "\n".join([*printed, done.stderr])[-2000:]
        raise RuntimeError(f"{' '.join(command)} failed:\n{said}")
    return wall, cpu, peak


# ---- what our child processes do -------------------------------------------------------------


def _panel(study: Study, population: str):  # type: ignore[no-untyped-def]
    import prs

    return prs.open_genotypes(
        study.folder / "reference", samples_file=study.folder / f"reference.{population}.txt"
    )


def _statistics(study: Study, population: str):  # type: ignore[no-untyped-def]
    import prs

    return prs.read_sumstats(
        study.sumstats(population), population=population, n=study.n_gwas[population]
    )


def _cohort(study: Study):  # type: ignore[no-untyped-def]
    import prs

    return prs.read_cohort(
        study.folder / "cohort.tsv",
        outcome="trait",
        covariates=["age", "sex"],
        labels=["ancestry"],
        split="split",
    )


def _target(study: Study):  # type: ignore[no-untyped-def]
    import prs

    return prs.open_genotypes(study.folder / "target")


def do_ct(study: Study):  # type: ignore[no-untyped-def]
    import prs

    panel = _panel(study, MAIN)
    statistics = prs.harmonise(_statistics(study, MAIN), panel.variants, eaf=panel.eaf())
    weights = prs.clump_and_threshold(
        statistics, panel, p_thresholds=THRESHOLDS, r2=(0.1, 0.3, 0.6), kb=(100, 250, 1000)
    )
    scores = prs.score(_target(study), weights)
    cohort = _cohort(study)
    best = prs.select_best(scores, cohort, name="C+T, best cell")
    stacked = prs.combine(scores, cohort, name="C+T, stacked", penalty="ridge")
    return [best.apply(scores), stacked.apply(scores)]


def _fit(study: Study, populations: list[str]):  # type: ignore[no-untyped-def]
    import prs

    length = {}
    if study.iterations is not None:
        length = {"n_iter": study.iterations, "n_burnin": study.iterations // 2}
    return prs.fit_csx(
        {name: _statistics(study, name) for name in populations},
        {name: prs.compute_ld(_panel(study, name), population=name) for name in populations},
        phi="auto",
        seed=1,
        n_chains=2,
        **length,
    )


def do_cs(study: Study):  # type: ignore[no-untyped-def]
    import prs

    weights = _fit(study, [MAIN]).weights()
    return [prs.score(_target(study), weights.rename(["PRS-CS"]))]


def do_csx(study: Study):  # type: ignore[no-untyped-def]
    import prs

    posterior = _fit(study, list(study.n_gwas))
    scores = prs.score(_target(study), posterior.weights())
    cohort = _cohort(study)
    (meta,) = [name for name in scores.names if "META" in name]
    members = [name for name in scores.names if name != meta]
    combined = prs.combine(scores, cohort, columns=members, name="PRS-CSx, combined", by="ancestry")
    alone = scores.select(meta)
    made = combined.apply(scores, cohort)
    return [type(alone)(**{**vars(alone), "names": ("PRS-CSx, META",)}), made]


CHILDREN: dict[str, Callable[[Study], list]] = {"ct": do_ct, "cs": do_cs, "csx": do_csx}


def run_ours(method: str, study: Study) -> Result:
    out = study.folder / f"{method}.npz"
    command = [sys.executable, "-m", "benchmarks.methods", method, str(study.folder), str(out)]
    if study.iterations is not None:
        command += ["--iterations", str(study.iterations)]
    wall, cpu, peak = run(command, os.cpu_count() or 1)
    with np.load(out, allow_pickle=True) as made:
        columns = {f"prs: {name}": made[name] for name in made.files if name != "ids"}
        return Result(made["ids"], columns, wall, cpu, peak)


# ---- peers -------------------------------------------------------------------------------------


def run_plink(study: Study) -> Result | None:
    """Clump with plink1.9 and score each threshold with plink2; tuning people choose."""
    import prs

    folder = study.folder / "plink"
    folder.mkdir(exist_ok=True)
    panel = _panel(study, MAIN)
    read = prs.harmonise(_statistics(study, MAIN), panel.variants, eaf=panel.eaf())
    frame = pd.DataFrame(
        {"SNP": read.variants.id, "A1": read.variants.effect_allele, "BETA": read.beta, "P": read.p}
    )
    frame.to_csv(folder / "gwas.txt", sep=" ", index=False)
    ranges = "".join(f"S{i} 0 {p}\n" for i, p in enumerate(THRESHOLDS))
    (folder / "ranges.txt").write_text(ranges)
    clump = plink(
        "plink1.9",
        f"--bfile {study.folder / 'reference'} --keep {study.folder / f'reference.{MAIN}.txt'} "
        f"--clump {folder / 'gwas.txt'} --clump-p1 1 --clump-p2 1 --clump-r2 0.1 --clump-kb 250 "
        f"--out {folder / 'c'} --allow-no-sex",
    )
    made = plink(
        "plink2",
        f"--bfile {study.folder / 'target'} --extract {folder / 'index.txt'} "
        f"--score {folder / 'gwas.txt'} 1 2 3 header-read cols=+scoresums --q-score-range "
        f"{folder / 'ranges.txt'} {folder / 'gwas.txt'} 1 4 header --out {folder / 's'}",
    )
    if clump is None or made is None:
        return None
    first = run(clump, 1)
    index = pd.read_csv(folder / "c.clumped", sep=r"\s+")["SNP"]
    (folder / "index.txt").write_text("\n".join(index))
    second = run(made, 1)
    tables = {
        f"S{i}": pd.read_csv(file, sep="\t")
        for i in range(len(THRESHOLDS))
        if (file := folder / f"s.S{i}.sscore").exists()
    }
    any_table = next(iter(tables.values()))
    return Result(
        any_table["IID"].to_numpy(dtype=object),
        {name: table["BETA_SUM"].to_numpy() for name, table in tables.items()},
        first[0] + second[0],
        first[1] + second[1],
        max(first[2], second[2]),
        ("plink1.9 + plink2: C+T, best cell",),
    )


def write_panel(study: Study, folder: Path, populations: list[str]) -> None:
    """Write LD in the layout that PRScsx.py reads."""
    import h5py

    import prs

    frames = []
    for name in populations:
        ld = prs.compute_ld(_panel(study, name), population=name)
        ld_folder = folder / f"ldblk_1kg_{name.lower()}"
        ld_folder.mkdir(parents=True, exist_ok=True)
        variants = ld.variants
        frame = variants.to_frame().assign(**{f"FRQ_{name}": ld.eaf, f"FLP_{name}": 1})
        frames.append(frame.set_index("id"))
        starts = ld.block_starts
        for chrom in np.unique(variants.chrom):
            with h5py.File(ld_folder / f"ldblk_1kg_chr{chrom}.hdf5", "w") as file:
                number = 0
                for block in range(ld.n_blocks):
                    rows = slice(int(starts[block]), int(starts[block + 1]))
                    if variants.chrom[rows][0] != chrom:
                        continue
                    number += 1
                    group = file.create_group(f"blk_{number}")
                    group["ldblk"] = ld.read_block(block).astype(np.float64)
                    group["snplist"] = np.array([i.encode() for i in variants.id[rows]])
    whole = frames[0]
    for frame in frames[1:]:
        whole = whole.combine_first(frame)
    lists = {"CHR": whole["chrom"], "SNP": whole.index, "BP": whole["pos"]}
    table = pd.DataFrame({**lists, "A1": whole["effect_allele"], "A2": whole["other_allele"]})
    for column in ("FRQ", "FLP"):
        for name in ("AFR", "AMR", "EAS", "EUR", "SAS"):  # columns by place, all five
            known = whole.get(f"{column}_{name}", pd.Series(0.0, index=whole.index)).fillna(0)
            table[f"{column}_{name}"] = known.to_numpy() if column == "FRQ" else known.astype(int)
    table["CHR"] = table["CHR"].astype(int)
    table = table.sort_values(["CHR", "BP"], kind="stable")
    table.to_csv(folder / "snpinfo_mult_1kg_hm3", sep="\t", index=False)


def run_prscsx(study: Study, prscsx: Path) -> Result:
    """Fit with PRScsx.py (META weights). LD and scores are made by us, and are not timed."""
    import prs

    folder = study.folder / "prscsx"
    folder.mkdir(exist_ok=True)
    populations = list(study.n_gwas)
    write_panel(study, folder, populations)
    variants = _target(study).variants.to_frame()
    files = []
    for name in populations:
        panel = _panel(study, name)
        read = prs.harmonise(_statistics(study, name), panel.variants, eaf=panel.eaf())
        files.append(folder / f"{name}.txt")
        pd.DataFrame(
            {"SNP": read.variants.id, "A1": read.variants.effect_allele,
             "A2": read.variants.other_allele, "BETA": read.beta, "SE": read.se}
        ).to_csv(files[-1], sep="\t", index=False)  # fmt: skip
    chromosomes = sorted({str(c) for c in variants["chrom"]})
    command = [
        sys.executable, str(prscsx / "PRScsx.py"), f"--ref_dir={folder}",
        f"--bim_prefix={study.folder / 'target'}", f"--sst_file={','.join(map(str, files))}",
        f"--n_gwas={','.join(str(n) for n in study.n_gwas.values())}",
        f"--pop={','.join(populations)}", f"--chrom={','.join(chromosomes)}",
        f"--out_dir={folder}", "--out_name=out", "--meta=TRUE", "--seed=1",
    ]  # fmt: skip
    if study.iterations is not None:
        command += [f"--n_iter={study.iterations}", f"--n_burnin={study.iterations // 2}"]
    wall, cpu, peak = run(command, 1)
    parts = [prs.read_weights(path) for path in sorted(folder.glob("out_META_*.txt"))]
    target = _target(study)
    values = sum(prs.score(target, part, min_overlap=0).values[:, 0] for part in parts)
    return Result(
        target.samples.iid, {"PRScsx.py: PRS-CSx, META": np.asarray(values)}, wall, cpu, peak
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("method", choices=sorted(CHILDREN))
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--iterations", type=int)
    options = parser.parse_args()
    sizes = pd.read_csv(options.folder / "gwas.tsv", sep="\t")
    sizes = sizes[sizes["outcome"] == "trait"].set_index("population")["n"]
    study = Study(options.folder, {str(k): int(n) for k, n in sizes.items()}, options.iterations)
    made = CHILDREN[options.method](study)
    columns = {name: part.values[:, i] for part in made for i, name in enumerate(part.names)}
    np.savez(options.out, ids=made[0].samples.iid, **columns)


if __name__ == "__main__":
    main()
