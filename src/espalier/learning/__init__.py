"""A training: what identifies it, and how it is found, trained and resumed. Lightning lives here."""
