"""The fast network of chapter 6: its recipes, its layers, two quicker operations, and its training."""
