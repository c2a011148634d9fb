"""A process of its own that hands an encoded stream to a server, so that one that does not answer stops nothing else:
PyAV holds Python's lock while it connects.

Comes in: FLV at the standard input, the address in the environment. Goes out: the same packets to the server; on the
standard output `connected`, then why it ended, if that was the server. Run by its path; it imports nothing of LiveToon.
"""

from __future__ import annotations

import os
import sys

import av

ADDRESS, FORMAT = "LIVETOON_STREAM_ADDRESS", "LIVETOON_STREAM_FORMAT"
CONNECTED = "connected"
_IN = {"fpsprobesize": "0", "analyzeduration": "500000"}  # what comes is known, so no long look
_OUT = {
    "flv": {"flvflags": "no_duration_filesize", "rw_timeout": "10000000"},
    "rtsp": {"rtsp_transport": "tcp", "timeout": "10000000"},
}


def main() -> int:
    """0 when the stream was ended from this side, else 1."""
    address, kind = os.environ.pop(ADDRESS), os.environ.pop(FORMAT)
    try:
        with (
            av.open("pipe:0", format="flv", options=_IN) as source,
            av.open(address, "w", format=kind, container_options=_OUT[kind]) as server,
        ):
            streams = {s.index: server.add_stream_from_template(s) for s in source.streams}
            server.start_encoding()
            print(CONNECTED, flush=True)
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    server.mux(packet)
    except (av.FFmpegError, OSError) as error:
        print(error.strerror or type(error).__name__, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # closing a connection that is gone may take for ever
