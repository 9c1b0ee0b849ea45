"""How classic encoders learn from the user's own items. No torch."""
