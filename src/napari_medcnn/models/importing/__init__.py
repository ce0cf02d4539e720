"""Bring a model from a folder, a file or an address into the user's folder of models."""
