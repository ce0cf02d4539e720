"""PACS: find series on a hospital's image server, fetch them, and send results back."""
