"""Encoders without deep networks: hand-crafted, counted or fitted."""
