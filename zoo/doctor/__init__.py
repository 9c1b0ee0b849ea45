"""What is installed here, and the usual traps in it. No torch is imported."""
