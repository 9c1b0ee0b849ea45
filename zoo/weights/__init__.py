"""Bring files here, verify them, remember them, read them."""
