"""The studies, one per door: which trainings they want and what they make of them; and what the command line calls."""
