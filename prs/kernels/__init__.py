"""Every numba function in the project, and nothing else."""
