"""Where pictures go: clip and picture files, a window, a virtual camera, nowhere."""

from realtime.sinks.contract import Sink
from realtime.sinks.open import Sinks, open_recording, open_sinks, open_virtual_cameras

__all__ = ["Sink", "Sinks", "open_recording", "open_sinks", "open_virtual_cameras"]
