"""Tests, against independent libraries."""
