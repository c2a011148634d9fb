"""Quantising generators: representative pictures in, int8 generators out."""
