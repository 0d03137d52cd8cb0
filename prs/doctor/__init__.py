"""The doctor: a dry run over statistics, panels and target before hours are spent."""
