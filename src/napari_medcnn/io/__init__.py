"""Files to volumes and results to files."""
