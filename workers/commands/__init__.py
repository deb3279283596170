"""The words of the `daybook` command, a file for each group of them."""
