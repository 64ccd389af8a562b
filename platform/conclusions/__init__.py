"""What a store's numbers say: rankings, comparisons, effects, costs."""
