"""Makes ``sample_data/`` from the template and from formulas; no patient is in it."""
