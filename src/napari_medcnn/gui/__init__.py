"""Dock widgets and views: the only room that imports Qt or napari."""
