"""DICOM files to volumes: scan headers, group frames, assemble stacks, decode pixels."""
