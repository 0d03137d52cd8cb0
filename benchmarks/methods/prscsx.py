"""PRS-CSx by its authors' program, PRScsx.py of a checkout of getian107/PRScsx.

The LD that it is given is computed by us, of the same people as ours (in double precision, the
blocks that ours has), and scores are made by us: its time and memory are of the weights alone.
Phi is learnt, a = 1, b = 0.5 and its own number of iterations are its defaults; `META` weights
need no tuning, the combination of the populations' scores is what its authors recommend.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

import prs
from benchmarks.methods.launch import Cost, run
from benchmarks.methods.study import Result, Study, combine, score_table

#: The columns of its list of variants are read by place: all five populations, in this order.
POPULATIONS = ("AFR", "AMR", "EAS", "EUR", "SAS")
#: From NumPy 2.4 on arrays of one number are no longer numbers: its sampler, which tries again
#: whatever goes wrong, then never ends. Here they are made numbers, and nothing else is changed.
MENDED = """
import runpy, sys
import numpy as np
folder = sys.argv.pop(1)
sys.path.insert(0, folder)
import gigrnd, mcmc_gtb
one, gamma = gigrnd.gigrnd, np.random.gamma
def number(x):
    return x.item() if isinstance(x, np.ndarray) and x.size == 1 else x
def flat(x):
    return x[:, 0] if isinstance(x, np.ndarray) and x.shape[1:] == (1,) else x
gigrnd.gigrnd = lambda *given: one(*map(number, given))
np.random.gamma = lambda *given: number(gamma(*given))
mcmc_gtb.zip = lambda *columns: zip(*map(flat, columns))
sys.argv[0] = folder + "/PRScsx.py"
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def write_panel(study: Study, folder: Path, populations: list[str]) -> None:
    """Write LD in the layout that PRScsx.py reads."""
    frames = []
    for name in populations:
        ld = prs.compute_ld(study.open_panel(name), population=name)
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
        for name in POPULATIONS:
            known = whole.get(f"{column}_{name}", pd.Series(0.0, index=whole.index)).fillna(0)
            table[f"{column}_{name}"] = known.to_numpy() if column == "FRQ" else known.astype(int)
    table["CHR"] = table["CHR"].astype(int)
    table = table.sort_values(["CHR", "BP"], kind="stable")
    table.to_csv(folder / "snpinfo_mult_1kg_hm3", sep="\t", index=False)


def run_program(
    prscsx: Path,
    panel: Path,
    target: Path,
    sumstats: Sequence[Path],
    n_gwas: Sequence[int],
    populations: Sequence[str],
    chromosomes: Sequence[int],
    out: Path,
    iterations: int | None = None,
    seed: int = 1,
    phi: float | None = None,
) -> Cost:
    """Run PRScsx.py on a panel folder, a .bim and files in its own format: OUT/out_POP_*.txt.

    Parameters
    ----------
    prscsx, panel, target, out : Path
        The checkout, the folder of LD, the prefix of the .bim, and where files are written.
    sumstats, n_gwas, populations : sequence
        In one order.
    chromosomes : sequence of int
    iterations : int or None
        A half of them burn-in; None: its default.
    seed : int
    phi : float or None
        None: learnt.
    """
    command = [
        sys.executable, "-c", MENDED, str(prscsx), f"--ref_dir={panel}",
        f"--bim_prefix={target}", f"--sst_file={','.join(map(str, sumstats))}",
        f"--n_gwas={','.join(map(str, n_gwas))}", f"--pop={','.join(populations)}",
        f"--chrom={','.join(map(str, chromosomes))}",
        f"--out_dir={out}", "--out_name=out", "--meta=TRUE", f"--seed={seed}",
    ]  # fmt: skip
    if phi is not None:
        command.append(f"--phi={phi}")
    if iterations is not None:
        command += [f"--n_iter={iterations}", f"--n_burnin={iterations // 2}"]
    return run(command, 1)


def fit_prscsx(study: Study, prscsx: Path, phi: float | None = None) -> tuple[pd.DataFrame, Cost]:
    """Fit with PRScsx.py; return weights as `score_table` takes them, a column a population."""
    folder = study.folder / "prscsx"
    folder.mkdir(exist_ok=True)
    populations = study.populations
    write_panel(study, folder, populations)
    files = []
    for name in populations:
        files.append(folder / f"{name}.txt")
        table = study.statistics_table(name)
        table[["SNP", "A1", "A2", "BETA", "SE"]].to_csv(files[-1], sep="\t", index=False)
    chromosomes = [int(chrom) for chrom in np.unique(study.open_target().variants.chrom)]
    for old in folder.glob("out_*_pst_eff_*"):
        old.unlink()
    cost = run_program(
        prscsx, folder, study.target, files, [study.n_people(name) for name in populations],
        populations, chromosomes, folder, study.iterations, phi=phi,
    )  # fmt: skip
    key = ["CHR", "SNP", "BP", "A1", "A2"]
    tables = []
    for name in (*populations, "META"):
        parts = sorted(folder.glob(f"out_{name}_pst_eff_*.txt"))
        read = [pd.read_csv(part, sep="\t", header=None, names=[*key, name]) for part in parts]
        tables.append(pd.concat(read).set_index(key))
    return pd.concat(tables, axis=1).fillna(0.0).reset_index(), cost


def run_prscsx(study: Study, prscsx: Path) -> Result:
    """Fit with PRScsx.py: META weights, and populations' scores combined in tuning people."""
    weights, cost = fit_prscsx(study, prscsx)
    scores = score_table(study, weights, study.folder / "prscsx" / "weights.tsv")
    members = scores.select(study.populations)
    columns = {
        "PRScsx.py: PRS-CSx, META": scores.select("META").values[:, 0],
        "PRScsx.py: PRS-CSx, combined": combine(study, members, "PRS-CSx, combined"),
    }
    return Result(scores.samples.iid, columns, cost)
