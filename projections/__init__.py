"""What has happened: the log, its tail, and the read models posted from it."""
