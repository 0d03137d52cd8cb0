"""Studies with known truth: cohorts from a coalescent model, their GWAS, and all the files.

`simulate_study` writes a whole study folder; `simulate_sumstats` draws z-scores from an LD
matrix, for tests. The coalescent needs msprime (``pip install 'prs[simulate]'``).
"""

from prs.simulate.association import simulate_sumstats as simulate_sumstats
from prs.simulate.study import SimulatedStudy as SimulatedStudy
from prs.simulate.study import simulate_study as simulate_study
