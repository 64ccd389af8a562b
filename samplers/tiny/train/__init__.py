"""Training of the embedded models: `python -m bakeoff.samplers.tiny.train`."""
