"""Intervals hold the truth as often as they say, in studies of which it is known."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def worlds() -> ModuleType:
    """The benchmark's worlds: benchmarks/coverage.py, which is run there with more studies."""
    spec = importlib.util.spec_from_file_location(
        "coverage_worlds", ROOT / "benchmarks" / "coverage.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(worlds: ModuleType, n_studies: int) -> None:
    table = worlds.interval_coverage(n_studies).set_index("figure")
    assert len(table) == 12
    for name, row in table.iterrows():
        # 93 to 97 per cent; chance takes the share of n studies three binomial standard errors
        # further, at most (0.93 and 0.97 have much the same)
        chance = 3 * np.sqrt(0.95 * 0.05 / row["n"])
        assert 0.93 - chance <= row["held"] <= 0.97 + chance, (name, dict(row))
        assert row["n"] >= 0.9 * n_studies  # a zero cell leaves few risk ratios without interval


def test_intervals_hold_the_truth(worlds: ModuleType) -> None:
    check(worlds, 200)


def test_recalibrated_slopes_on_new_people(worlds: ModuleType) -> None:
    table = worlds.slope_table(100)
    # one slope, fitted on 2,000 people and judged on as many, has a standard error of 0.1 to
    # 0.17, so that 60 data sets settle their mean to 0.02
    assert (table["se"] < 0.02).all()
    assert table["mean"].to_numpy() == pytest.approx(np.ones(3), abs=0.05)


@pytest.mark.slow
def test_intervals_hold_the_truth_in_many_studies(worlds: ModuleType) -> None:
    check(worlds, 2000)
