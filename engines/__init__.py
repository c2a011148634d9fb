"""Generators on whatever runs them fastest here, and the model files they and MediaPipe load."""
