"""Encoders of text and code."""
