"""The stories: train, prune. Each reads like the algorithm."""
