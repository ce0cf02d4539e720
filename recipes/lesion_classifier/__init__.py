"""The recipe of the shipped classifier of patches: a lesion in FLAIR, or none."""
