"""An embedded Postgres: the server of development and tests, shared by its users.

`lease` finds it or starts it; it stops by itself when its last user is gone.
"""

from workers.embedded.files import EmbeddedUnavailable
from workers.embedded.leasing import Lease, lease, remove

__all__ = ["EmbeddedUnavailable", "Lease", "lease", "remove"]
