"""Transformers, tokenizers and text encoders that load the official checkpoints."""
