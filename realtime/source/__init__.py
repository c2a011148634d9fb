"""Where frames come from: cameras, clips, pictures, streams, the demo clip and a test pattern."""

from realtime.source.cameras import CameraInfo, list_cameras
from realtime.source.contract import LastingSource, Source
from realtime.source.open import open_lasting_source, open_source

__all__ = ["CameraInfo", "LastingSource", "Source", "list_cameras", "open_lasting_source", "open_source"]
