"""Ink: the living face of a web comic, drawn with few strokes over what the generators made."""

from realtime.ink.stage import Ink

__all__ = ["Ink"]
