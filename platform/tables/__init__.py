"""Conclusions as text tables, each with the notes that it needs."""
