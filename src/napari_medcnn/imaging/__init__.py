"""Image processing on numpy arrays and SimpleITK: grids, masks, components, measurements."""
