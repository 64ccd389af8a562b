"""Pixels and prompts to scores, and scores to conclusions."""
