"""Teach a model: data and splits, the training job, its run folder, the resulting bundle."""
