"""What runs a network on windows: PyTorch or OpenVINO, and which of them is faster here."""
