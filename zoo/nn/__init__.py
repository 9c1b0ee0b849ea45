"""Layers that three or more families share. Shapes: B samples, N tokens, D width, H heads."""
