"""Builds the shipped model that highlights white-matter lesion candidates in FLAIR brain MRI."""
