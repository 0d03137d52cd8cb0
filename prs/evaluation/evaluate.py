"""`evaluate`: judge scores in each ancestry group and pooled, with intervals.

The driver: who is judged, what is fitted on whom, and which table gets which figure; the
statistics are in the modules beside it. Tables and their exact columns: `prs.evaluation.tables`.
"""
