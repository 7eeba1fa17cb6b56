"""Where a run lives, whether it is done, how it is resumed."""
