"""The baseline: its network, its batches, the same layers computed faster, and its training."""
