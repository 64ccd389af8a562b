"""Prompt, seed and recipe to pixels: models, design choices and the loops that combine them."""

from bakeoff.samplers.catalog import MODELS, ModelEntry, find_model, load_sampler
from bakeoff.samplers.choice_table import CHOICES
from bakeoff.samplers.errors import InputError
from bakeoff.samplers.recipe import Recipe
from bakeoff.samplers.sampler import Generation, Sampler

__all__ = [
    "CHOICES",
    "MODELS",
    "Generation",
    "InputError",
    "ModelEntry",
    "Recipe",
    "Sampler",
    "find_model",
    "load_sampler",
]
