"""DICOM files without the patient's identity, by PS3.15 Annex E."""
