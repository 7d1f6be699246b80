"""How good a recognizer is, measured on its sealed artifact, and how sure of that one can be."""
