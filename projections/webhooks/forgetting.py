"""Forgetting: how workers find and delete what became of deliveries long ago.

Lists and statistics leave it out to the moment (`kept_since`); this takes it from the disk.
"""

from projections.sql import Queries

QUERIES = Queries("projections.webhooks", "forgetting.sql")
