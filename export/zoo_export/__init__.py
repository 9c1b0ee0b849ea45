"""Artefacts that are proven equal to eager PyTorch, or refused."""
