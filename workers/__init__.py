"""What runs: every long-lived process, and the `daybook` command that starts it."""
