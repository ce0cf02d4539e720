"""The state of a viewer, its files and its layers, without Qt and without napari."""
