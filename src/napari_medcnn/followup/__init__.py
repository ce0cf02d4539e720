"""What changed between studies of one patient: registration, matching, measurement, prognosis."""
