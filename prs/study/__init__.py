"""The study file (TOML) as a validated object: what goes in, which methods, how it is judged."""

from prs.study.file import read_study as read_study
from prs.study.inputs import Harmonising as Harmonising
from prs.study.inputs import Population as Population
from prs.study.inputs import Quality as Quality
from prs.study.inputs import Target as Target
from prs.study.methods import CsxSettings as CsxSettings
from prs.study.methods import Methods as Methods
from prs.study.methods import ThresholdSettings as ThresholdSettings
from prs.study.model import Study as Study
from prs.study.results import AbsoluteRisk as AbsoluteRisk
from prs.study.results import EvaluationSettings as EvaluationSettings
from prs.study.results import ReportSettings as ReportSettings
