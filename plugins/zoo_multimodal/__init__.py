"""Encoders that share a space across modalities."""
