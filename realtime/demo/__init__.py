"""The demo clip, `demo.mp4`, what truly happens in it, `demo.json`, and the script that made both."""
