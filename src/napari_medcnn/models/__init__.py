"""What a model is: a MONAI Bundle on disk, its specification, its weights."""
