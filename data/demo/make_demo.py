"""Make the demo study: the genotypes, summary statistics and cohort of this folder, from a seed.

    python data/demo/make_demo.py [folder]

needs msprime (``pip install 'prs[simulate]'``) and takes about four minutes on two cores and
2 GB of memory. The same versions of NumPy and msprime give the same bytes; the committed files
were made with NumPy 2.4 and msprime 1.4.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from prs.simulate import simulate_study

SETTINGS = {
    "seed": 1,
    "n_gwas": {"EUR": 50_000, "AFR": 9_000, "EAS": 9_000},
    "n_reference": 400,
    "n_target": {"EUR": 1_300, "AFR": 1_300, "EAS": 1_250, "ADM": 150},
    "n_variants": 15_000,
    "n_chromosomes": 3,
    "sequence_length": 15_000_000,
    "n_founders": {"EUR": 3_000, "AFR": 2_000, "EAS": 2_000},
    "h2": 0.45,
    "n_causal": 600,
    "effect_correlation": 0.9,
    "prevalence": {"EUR": 0.18, "AFR": 0.22, "EAS": 0.17, "ADM": 0.20},
}

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("msprime").setLevel(logging.WARNING)
    simulate_study(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent, **SETTINGS)
