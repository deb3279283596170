"""Backups: the whole log and all that was posted from it, in one file, and back again.

The file is a zip of two parts, neither of which can be mistaken for the other: what
`pg_dump` wrote, and a manifest that says which migrations the database had and how many
rows each table. The rows are counted in the snapshot that is dumped, in the file once it
is written, and in the database that it was restored to: all three must agree.
"""
