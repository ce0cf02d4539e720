"""DICOM objects out and in: segmentations, measurement reports and contours."""
