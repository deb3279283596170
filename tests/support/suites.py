"""The `eventsourcing` library's own suites of recorders, to run on ours.

Import the module and subclass its classes: a base class in a test module's own namespace
would be collected as well.

The library has two ciphers that read each other's bytes and imports the one whose package
(pycryptodome) nothing here needs; it is given the other.
"""

import sys
from importlib import import_module
from typing import Any

from eventsourcing import cryptography

sys.modules.setdefault("eventsourcing.cipher", cryptography)
persistence: Any = import_module("eventsourcing.tests.persistence")
