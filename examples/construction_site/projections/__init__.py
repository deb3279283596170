"""What the construction site shows: read models, each posted from the log."""
