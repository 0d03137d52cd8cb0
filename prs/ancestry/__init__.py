"""Where a person sits, and what scale their score is on: components, labels, normalisation."""

from prs.ancestry.assignment import AncestryAssignment as AncestryAssignment
from prs.ancestry.assignment import assign_ancestry as assign_ancestry
from prs.ancestry.components import PrincipalComponents as PrincipalComponents
from prs.ancestry.components import compute_pcs as compute_pcs
from prs.ancestry.components import project as project
from prs.ancestry.components import prune_by_ld as prune_by_ld
from prs.ancestry.normalisation import NormalisedScores as NormalisedScores
from prs.ancestry.normalisation import normalise_scores as normalise_scores
