"""Small programs beside LiveToon."""
