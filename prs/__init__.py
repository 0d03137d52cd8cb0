"""Polygenic risk scores across ancestries.

The public names, in the order in which data flow: genotypes and summary statistics, one
variant vocabulary, LD, weights, scores, ancestry, evaluation, report. They are listed in
``__init__.pyi`` and imported when first used, so that ``import prs`` costs next to nothing.
"""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

try:
    __version__ = version("prs")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"
