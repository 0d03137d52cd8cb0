"""What goes wrong in PRScs.py and PRScsx.py, and comes out right here.

====================================================  ==============================================
trap in the reference tools                           test
====================================================  ==============================================
A/T and C/G variants in swapped order: wrong sign     test_disguises_do_not_change_a_bit
columns read by position, not by name                 test_disguises_do_not_change_a_bit
alleles in lower case vanish                          test_disguises_do_not_change_a_bit
snpinfo in another order than the blocks: wrong LD    test_disguises_do_not_change_a_bit
chr21 for 21, and X, in the .bim: an unrelated error  test_disguises_do_not_change_a_bit
a variant of snpinfo that no block has: hangs         test_disguises_do_not_change_a_bit
the last of several rows of an rsID wins              test_of_rows_of_one_variant_the_matching_one
SE = NA or 0: an unrelated error                      test_rows_that_say_nothing_are_counted
a wrong folder: UnboundLocalError                     test_a_wrong_folder_is_said
--n_gwas=1e5 fails                                    test_options_as_they_are_typed
phi 1.5e-2 and 2e-2 write one file                    test_options_as_they_are_typed
an effect of exactly 0: hangs (chi = 0)               test_null_effects_finish, test_gig.py
NumPy 2.4 and later: hangs                            (no draw is in a bare except: test_gig.py)
sums divided by draws that were not kept              test_thinning_does_not_change_the_mean
n_iter or n_burnin given alone is ignored             test_length_given_in_part_is_honoured
linear algebra with threads of its own                test_one_blas_thread_while_chains_run
set-up time grows with the square of the variants     test_set_up_time_is_linear
psi and phi that do not converge, without a word      test_csx.py, test_csx_long_runs.py
====================================================  ==============================================
"""

from __future__ import annotations

import os
import time

import h5py
import numpy as np
import pytest
from scipy.stats import norm
from test_csx import population, settings, study, table
from threadpoolctl import threadpool_info

from prs.cli import main
from prs.errors import ColumnError, LDReferenceError
from prs.weights.csx import fit_csx
from prs.weights.csx_chain import Chains
from prs.weights.csx_dropin import run_like_reference
from prs.weights.csx_model import build_model
from prs.weights.csx_run import run_chains

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT") == "1"
N = 24
LETTERS = [("A", "G"), ("C", "A"), ("A", "T"), ("T", "C"), ("G", "C"), ("G", "T")]


class Files:
    """A panel of one chromosome in PRS-CSx layout, a target and two GWAS, each as rows."""

    def __init__(self, folder):
        rng = np.random.default_rng(5)
        self.folder = folder
        self.ids = [f"rs{i}" for i in range(1, N + 1)]
        pairs = [LETTERS[i % len(LETTERS)] for i in range(N)]
        self.info = [
            ["21", one, str(1000 * (i + 1)), *pairs[i], "0.31", "0.42", "1", "1"]
            for i, one in enumerate(self.ids)
        ]
        self.bim = [["21", r[1], "0", r[2], r[3], r[4]] for r in self.info]
        self.blocks = {"eur": self.ids[:14], "eur2": self.ids[14:]}
        self.matrices = []
        for pop in ("eur", "afr"):
            where = folder / f"ldblk_1kg_{pop}"
            where.mkdir(parents=True)
            with h5py.File(where / "ldblk_1kg_chr21.hdf5", "w") as file:
                for number, names in enumerate((self.ids[:14], self.ids[14:]), start=1):
                    x = rng.standard_normal((60, len(names))) + rng.standard_normal((60, 1))
                    group = file.create_group(f"blk_{number}")
                    group["ldblk"] = np.corrcoef(x, rowvar=False)
                    group["snplist"] = np.array([n.encode() for n in names], dtype="S8")
        self.sst = {}
        for pop in ("EUR", "AFR"):
            z = rng.standard_normal(N) * 3
            self.sst[pop] = [
                [one, *pairs[i], f"{0.01 * z[i]:.6f}", "0.01"] for i, one in enumerate(self.ids)
            ]
        self.header = "SNP\tA1\tA2\tBETA\tSE"

    def write(self):
        head = "CHR\tSNP\tBP\tA1\tA2\tFRQ_AFR\tFRQ_EUR\tFLP_AFR\tFLP_EUR\n"
        lines = ["\t".join(row) + "\n" for row in self.info]
        (self.folder / "snpinfo_mult_1kg_hm3").write_text(head + "".join(lines))
        (self.folder / "target.bim").write_text("".join("\t".join(r) + "\n" for r in self.bim))
        for pop, rows in self.sst.items():
            text = self.header + "\n" + "".join("\t".join(row) + "\n" for row in rows)
            (self.folder / f"{pop}.txt").write_text(text)

    def run(self, name="run", **options):
        self.write()
        chosen = {"phi": 1e-2, "n_iter": 40, "seed": 3, "n_threads": 1} | options
        return run_like_reference(
            self.folder,
            self.folder / "target",
            [self.folder / "EUR.txt", self.folder / "AFR.txt"],
            [20_000, 10_000],
            ["EUR", "AFR"],
            out_dir=self.folder,
            out_name=name,
            **chosen,
        )

    def text(self, **options):
        return [file.read_text() for file in self.run(**options).files]


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path / "ref")


def swap(rows, only=None):
    for row in rows:
        if only is None or {row[1], row[2]} in only:
            row[1], row[2] = row[2], row[1]
            row[3] = row[3][1:] if row[3].startswith("-") else f"-{row[3]}"


def reorder(files):
    files.header = "SNP\tA1\tA2\tBETA\tP\tSE"
    for rows in files.sst.values():
        for row in rows:
            row.insert(4, f"{2 * norm.sf(abs(float(row[3])) / 0.01):.6g}")


def lower(files):
    for rows in files.sst.values():
        for row in rows:
            row[1], row[2] = row[1].lower(), row[2].lower()


def shuffle(files):
    np.random.default_rng(1).shuffle(files.info)


def more_in_bim(files):
    for row in files.bim:
        row[0] = "chr21"
    files.bim += [["X", "rs901", "0", "5", "A", "G"], ["chrMT", "rs902", "0", "5", "A", "G"]]


def in_no_block(files):
    files.info.insert(3, ["21", "rs900", "3500", "A", "G", "0.3", "0.3", "1", "1"])
    files.bim.append(["21", "rs900", "0", "3500", "A", "G"])
    for rows in files.sst.values():
        rows.append(["rs900", "A", "G", "0.1", "0.01"])


@pytest.mark.parametrize(
    "disguise",
    [
        lambda files: [swap(rows, [{"A", "T"}, {"C", "G"}]) for rows in files.sst.values()],
        lambda files: [swap(rows) for rows in files.sst.values()],
        reorder, lower, shuffle, more_in_bim, in_no_block,
    ],
    ids=["palindromes swapped", "all swapped", "columns", "lower case", "snpinfo shuffled",
         "bim lines", "in no block"],
)  # fmt: skip
def test_disguises_do_not_change_a_bit(files, disguise):
    plain = files.text()
    disguise(files)
    assert files.text() == plain


def test_of_rows_of_one_variant_the_matching_one(files):
    plain = files.text()
    # another variant of the same name: other alleles, first and last, in statistics and target
    for rows in files.sst.values():
        rows.insert(0, ["rs2", "C", "T", "0.9", "0.01"])
        rows.append(["rs1", "A", "C", "0.9", "0.01"])
    files.bim.insert(0, ["21", "rs1", "0", "1000", "A", "C"])
    assert files.text() == plain
    for rows in files.sst.values():
        rows.append(list(rows[5]))  # the same row twice
    fitted = files.run()
    assert [file.read_text() for file in fitted.files] == plain
    assert all(report.counts["duplicate"] == 1 for report in fitted.posterior.match_reports)


def test_rows_that_say_nothing_are_counted(files):
    files.sst["EUR"][4][4], files.sst["EUR"][5][4] = "NA", "0"
    fitted = files.run()
    report = fitted.posterior.match_reports[0]
    assert sum(report.counts.values()) == N
    assert report.counts["invalid"] == 2
    eur, _ = (file.read_text().splitlines() for file in fitted.files)
    assert [line.split("\t")[1] for line in eur] == [*files.ids[:4], *files.ids[6:]]


def test_a_wrong_folder_is_said(files, tmp_path):
    files.write()
    with pytest.raises(LDReferenceError, match="not an LD panel"):
        run_like_reference(
            tmp_path, files.folder / "target", [files.folder / "EUR.txt"], [1e4], ["EUR"],
            out_dir=tmp_path, out_name="x",
        )  # fmt: skip
    files.header = files.header.replace("SE", "ERROR")
    with pytest.raises(ColumnError):
        files.run()


def test_options_as_they_are_typed(files, capsys):
    files.write()
    at = files.folder
    with pytest.raises(SystemExit) as stop:
        main([
            "csx", f"--ref_dir={at}", f"--bim_prefix={at}/target", "--n_gwas=2e4,1e4",
            f"--sst_file={at}/EUR.txt,{at}/AFR.txt", "--pop=EUR,AFR", f"--out_dir={at}",
            "--out_name=run", "--phi=1.5e-2,2e-2", "--n_iter=20", "--n_burnin=10", "--thin=2",
            "--chrom=21", "--meta=TRUE", "--seed=7",
        ])  # fmt: skip
    assert not stop.value.code
    made = sorted(file.name for file in at.glob("run_*"))
    ends = [f"{pop}_pst_eff_a1_b0.5_phi{phi}_chr21.txt" for pop in ("AFR", "EUR", "META")
            for phi in ("1.5e-02", "2e-02")]  # fmt: skip
    assert made == [f"run_{end}" for end in ends]
    assert "final score: " in capsys.readouterr().out


@pytest.mark.parametrize("target", ["reference", "posterior"])
def test_null_effects_finish(files, target):
    for rows in files.sst.values():
        for row in rows[::4]:
            row[3] = "0"
    for text in files.text(target=target, phi="auto"):
        values = [float(line.split("\t")[5]) for line in text.splitlines()]
        assert len(values) == N
        assert np.isfinite(values).all()


def test_thinning_does_not_change_the_mean():
    means = [fit_csx(*study(), n_iter=47, n_burnin=13, thin=thin, phi=0.1) for thin in (1, 7)]
    assert means[0].beta_mean.tobytes() == means[1].beta_mean.tobytes()
    # the mean of 34 iterations is the sum of 34, which a run of the same seed gives one by one
    model = build_model(*study())
    result = run_chains(model, settings(1, 0.1, n_iter=47, n_burnin=13, thin=7, keep_draws=True))
    assert len(result.draws) == 4  # iterations 20, 27, 34, 41


def test_length_given_in_part_is_honoured():
    fit = fit_csx(*study(), n_iter=30)
    assert (fit.settings.n_iter, fit.settings.n_burnin) == (30, 15)
    if not INTERPRETED:
        fit = fit_csx(*study(), n_burnin=1100)
        assert (fit.settings.n_iter, fit.settings.n_burnin) == (2200, 1100)


def test_one_blas_thread_while_chains_run():
    def n_threads():
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    before, seen = n_threads(), []

    class Watched(Chains):
        def step(self, run, accumulate):
            super().step(run, accumulate)
            seen.extend(n_threads())

    run_chains(build_model(*study()), settings(n_iter=4, n_burnin=0, thin=1), Watched)
    assert set(seen) == {1}
    assert n_threads() == before


@pytest.mark.skipif(INTERPRETED, reason="a time is measured")
def test_set_up_time_is_linear():
    """40,000 variants: look-ups in lists would take 8e8 comparisons of strings, over 20 s."""
    rng = np.random.default_rng(0)
    variants = table(100 * np.arange(1, 40_001))
    sumstats, ld = population(variants, [20] * 2000, rng)
    start = time.process_time()
    model = build_model({"EUR": sumstats}, {"EUR": ld})
    assert time.process_time() - start < 10.0
    assert model.n_blocks == 2000


def test_options_of_prs_cs_give_the_files_of_prs_cs(files, capsys):
    files.write()
    at, own = files.folder, files.folder / "ldblk_1kg_eur"
    rows = ["\t".join([*row[:5], row[6]]) + "\n" for row in files.info]
    (own / "snpinfo_1kg_hm3").write_text("CHR\tSNP\tBP\tA1\tA2\tMAF\n" + "".join(rows))
    with pytest.raises(SystemExit) as stop:
        main([
            "csx", f"--ref_dir={own}", f"--bim_prefix={at}/target", "--n_gwas=20000",
            f"--sst_file={at}/EUR.txt", f"--out_dir={at}/one", "--n_iter=20", "--phi=1e-2",
        ])  # fmt: skip
    assert not stop.value.code
    assert [file.name for file in at.glob("one*")] == ["one_pst_eff_a1_b0.5_phi1e-02_chr21.txt"]
    assert "final score: the column EUR" in capsys.readouterr().out
