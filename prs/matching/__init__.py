"""The one engine that matches two lists of variants, and the account of what it did."""

from prs.matching.alleles import PalindromicRule, find_other_alleles
from prs.matching.build import place_by_id
from prs.matching.engine import VariantMatch, match_variants
from prs.matching.fates import Fate, MatchReport

__all__ = [
    "Fate",
    "MatchReport",
    "PalindromicRule",
    "VariantMatch",
    "find_other_alleles",
    "match_variants",
    "place_by_id",
]
