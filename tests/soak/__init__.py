"""Long runs, commands of their own: `python3 start.py soak NAME`."""
