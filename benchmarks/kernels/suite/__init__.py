"""Timings of the kernels for asv, which compares two commits: see `.ci/slower` and asv.conf.json.

Each benchmark takes 0.05 to 0.3 s on data made from a seed. Compiling is done in the set-up; its
results stay beside the installed commit (`use_commit.py`), so that later rounds find them.
"""

from __future__ import annotations

import os

# before NumPy is imported: products of matrices in one thread, as processes are compared
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
