"""Reads scoring files with the PGS Catalog's own models; exits with 1 at the first that fails.

Run by the tests with a Python that has pgscatalog-core (which pins older packages than ours).
"""

import csv
import sys
from pathlib import Path

from pgscatalog.core.lib.models import CatalogScoreHeader, CatalogScoreVariant, ScoreHeader

strict, *paths = sys.argv[1:]
for path in paths:
    header = (CatalogScoreHeader if strict == "catalog" else ScoreHeader).from_path(path)
    with Path(path).open(newline="") as handle:
        rows = list(csv.DictReader((x for x in handle if not x.startswith("#")), delimiter="\t"))
    for row in rows:
        CatalogScoreVariant(**row)
    if strict == "catalog":
        assert header.variants_number == len(rows) == header.row_count
    print(path, len(rows))  # noqa: T201
