"""The construction site: a site-management application whose modules are on the log.

Its words for the outside are its customers': French types, fields and paths.
"""
