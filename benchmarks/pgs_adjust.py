"""Adjust scores for ancestry with pgscatalog-calc, in a Python that has it.

    PYTHON benchmarks/pgs_adjust.py IN.npz OUT.npz

IN.npz: reference_pcs, target_pcs (N, K), reference_scores, target_scores (N, S) and
reference_labels, target_labels (N,). OUT.npz: Z_MostSimilarPop, Z_norm1 and Z_norm2 of the target.
pgscatalog-calc (as of 0.3.1) makes no scores: it adds up those that plink2 has made by chromosome,
and adjusts them, which is what is compared.
"""

import sys

import numpy as np
import pandas as pd
from pgscatalog.calc.lib._ancestry.tools import pgs_adjust

METHODS = {"Z_MostSimilarPop": "empirical", "Z_norm1": "mean", "Z_norm2": "mean+var"}


def read(given: "np.lib.npyio.NpzFile", name: str) -> pd.DataFrame:
    """Return the components, scores and labels of one of the two groups as it takes them."""
    columns = {f"PC{i + 1}": pc for i, pc in enumerate(given[f"{name}_pcs"].T)}
    columns |= {f"S{i + 1}": score for i, score in enumerate(given[f"{name}_scores"].T)}
    return pd.DataFrame({**columns, "label": given[f"{name}_labels"]})


given = np.load(sys.argv[1])
reference, target = read(given, "reference"), read(given, "target")
scores = [name for name in target if name.startswith("S")]
_, made, _ = pgs_adjust(
    reference, target, scores, "label", "label", list(METHODS.values()),
    n_pcs=given["target_pcs"].shape[1],
)  # fmt: skip
out = {name: np.column_stack([made[f"{name}|{score}"] for score in scores]) for name in METHODS}
np.savez(sys.argv[2], **out)
