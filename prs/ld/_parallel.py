"""Kept until every caller takes `prs.cluster` instead."""

from prs.cluster import count_threads as count_threads
