"""A network as one file of C: traced into what happens at a time step, written, compiled and held against torch."""
