"""Stylize on an NVIDIA GPU: the frame goes up once, the drawing comes down once, everything between stays there.

The only package of `realtime` that imports torch; `session` imports it where a GPU engine was chosen, and nothing else
does. All of it is plain torch, so torch on a CPU computes the same numbers, which is how it is tested.
"""
