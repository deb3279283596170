"""Speed, as a ratio against a baseline in the same run: `python3 start.py bench NAME`."""
