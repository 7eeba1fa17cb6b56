"""LightningModules and the few callbacks they need."""
