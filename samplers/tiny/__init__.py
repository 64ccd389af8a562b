"""The embedded world: scenes, captions, an exact detector, and models trained on them."""
