"""Bugs on purpose, to test the tester: each is one that an export or a port has really had."""
