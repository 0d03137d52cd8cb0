"""The chain for one study or several, from files to the report; no science of its own."""

from prs.pipeline.run import StudyResult as StudyResult
from prs.pipeline.run import run_study as run_study
from prs.pipeline.studies import StudyOutcome as StudyOutcome
from prs.pipeline.studies import run_studies as run_studies
