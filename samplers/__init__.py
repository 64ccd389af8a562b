"""Prompt, seed and recipe to pixels: models, design choices and the loops that combine them."""
