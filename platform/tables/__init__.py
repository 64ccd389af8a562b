"""How conclusions look: text tables with the notes they need, and the color of each model."""
