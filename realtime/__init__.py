"""The way of a frame: from a source through the stages to the sinks."""
