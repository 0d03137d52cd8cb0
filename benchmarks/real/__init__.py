"""Real data: known truth on real people, published statistics and scores, PRScsx.py's own runs."""
