"""The log as the domain sees it: what is appended, and what is answered."""
