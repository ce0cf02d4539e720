"""What napari calls by the manifest: reader, writers, samples. Layer data only, never napari."""
