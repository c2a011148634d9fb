"""The way of a frame: from a source through the stages to the sinks."""

import os

# A picture of a few bytes can claim to be gigabytes large. OpenCV reads the limit when it is loaded, so it is set here.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(8192 * 8192))
