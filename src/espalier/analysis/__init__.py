"""Tables, figures and sentences made of results."""
