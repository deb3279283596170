#!/usr/bin/env python3
"""Starts Daybook from a fresh clone: makes `.venv` beside itself, then runs a command.

Needs nothing but Python; every Python 3 can read this file, to be told what is missing. A
stamp in `.venv`, written last, says what was installed for whom: while it is right, this
costs nothing, and an install that was interrupted is done again.
"""
# ruff: noqa: RUF005 - [*a, b] is not known to every Python 3

import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a Unix: two starts at once are then unguarded
    fcntl = None

NEEDED = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "daybook.stamp"
LOG = VENV / "daybook-install.log"
HEARTBEAT = 10  # seconds between two signs of life where there is no terminal
TAIL = 15  # lines of the installer's output that are shown when it fails

USAGE = """usage: python3 start.py [COMMAND ...]

  dev               the whole product on an embedded Postgres (the default)
  test [ARGS]       lint, types and tests; with ARGS only pytest ARGS
  bench NAME        a benchmark
  soak NAME         a soak test
  daybook --help    lists the other commands: env, trigger, events, doctor, backup ...
  anything else     is one of those, with or without the word daybook before it

The first run installs everything into .venv, with uv if it is on PATH.
"""
CHECKS = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"])
PACKAGES = {"bench": "benchmarks", "soak": "tests.soak"}

# What would send a Python, or an installer, somewhere else.
MISLEADING = {
    "PYTHON": "HOME PATH SAFEPATH EXECUTABLE OPTIMIZE INSPECT STARTUP USERBASE",
    "PIP_": "TARGET PREFIX ROOT USER PYTHON REQUIRE_HASHES",
    "UV_": "PYTHON PROJECT_ENVIRONMENT SYSTEM_PYTHON TARGET PREFIX",
    "": "VIRTUAL_ENV CONDA_PREFIX __PYVENV_LAUNCHER__",
}


INSTALLER = {
    "NO_COLOR": "1",  # its output goes to a file
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "UV_PYTHON_DOWNLOADS": "never",  # the Python that runs this, and no other
}


class Problem(Exception):
    """Something the user can put right; the message says how."""


def main(arguments):
    check_version(sys.version_info, sys.executable)
    words = arguments or ["dev"]
    if words[0] in ("-h", "--help"):
        sys.stdout.write(USAGE)
        return
    if words[0] in PACKAGES:
        check_name(words)  # before a minute of installing
    if not is_installed():
        install()
    if words[0] == "daybook":
        become("daybook", words[1:] or ["--help"])
    elif words[0] == "test":
        test(words[1:])
    elif words[0] in PACKAGES:
        os.chdir(str(ROOT))
        become("python", ["-m", PACKAGES[words[0]] + "." + words[1]] + words[2:])
    else:
        become("daybook", words)  # in the caller's folder: paths mean what was typed


# ---- commands ------------------------------------------------------------------------


def test(arguments):
    os.chdir(str(ROOT))
    for check in () if arguments else CHECKS:
        say("-- " + " ".join(check))
        status = subprocess.call([tool(check[0])] + check[1:], env=environment())
        if status:
            sys.exit(status)
    options = pytest_options(arguments)
    say("-- pytest " + " ".join(options))
    become("pytest", options)


def pytest_options(arguments):
    return arguments or ["-n", "3"]  # one at a time where somebody looks at a few


def check_name(words):
    """Refuse a benchmark or soak test that there is not."""
    known = names(ROOT.joinpath(*PACKAGES[words[0]].split(".")))
    if words[1:2] and words[1] in known:
        return
    wrong = "There is no %s." % " ".join(words[:2]) if words[1:] else "Which one?"
    raise Problem("%s To choose from: %s" % (wrong, ", ".join(known) or "none yet"))


def names(folder):
    """The modules in `folder` that can be run."""
    return sorted(file.stem for file in folder.glob("[a-z]*.py"))


def become(name, arguments):
    """Replace this process: signals then reach the command, and its exit code counts."""
    os.execve(tool(name), [tool(name)] + arguments, environment())


def tool(name):
    return str(VENV / "bin" / name)


def environment():
    """What commands see: this project's environment, whatever else was active."""
    clean = clean_environment()
    clean["DAYBOOK_PROJECT"] = str(ROOT)
    clean["VIRTUAL_ENV"] = str(VENV)
    clean["PATH"] = str(PYTHON.parent) + os.pathsep + clean.get("PATH", os.defpath)
    return clean


def clean_environment():
    clean = dict(os.environ)
    for prefix, rest in MISLEADING.items():
        for name in rest.split():
            clean.pop(prefix + name, None)
    return clean


# ---- whether to install --------------------------------------------------------------


def check_version(version, executable):
    """Tell a Python that is too old which one is needed."""
    if tuple(version[:2]) < NEEDED:
        needed = "%d.%d" % NEEDED
        raise Problem(
            "Daybook needs Python %s or newer, and this is %d.%d (%s).\n"
            "Start it with a newer one: python%s start.py\n"
            "On Debian or Ubuntu: apt-get install python3 python3-venv"
            % (needed, version[0], version[1], executable, needed)
        )


def is_installed():
    return read(STAMP) == stamp()


def stamp():
    """What is installed, for which Python, where: the scripts in .venv hold its path."""
    if not os.access(str(PYTHON), os.X_OK):
        return "no python"
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return "\n".join([wanted, version(), str(ROOT), str(PYTHON.resolve())])


def version():
    return "%d.%d" % tuple(sys.version_info[:2])


def install():
    check_writable()
    with Lock():
        if is_installed():
            return  # by another start.py, while we waited
        if STAMP.exists():
            STAMP.unlink()  # until all is done again, nothing is
        install_anyhow(find_uv())
        part = STAMP.with_suffix(".part")
        part.write_text(stamp(), "utf-8")
        part.replace(STAMP)


class Lock:
    """Held on this very file, so it needs no file of its own.

    The kernel frees it when its holders end, also by kill: the next one finds no stamp
    and repeats the install. The installer holds it too, for it may outlive us.
    """

    def __enter__(self):
        self.file = Path(__file__).open()
        os.set_inheritable(self.file.fileno(), True)
        try:
            if fcntl:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another start.py to finish installing")
            fcntl.flock(self.file, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks

    def __exit__(self, *_):
        self.file.close()


def check_writable():
    place = VENV if VENV.exists() else ROOT
    if not os.access(str(place), os.W_OK):
        raise Problem(
            "%s must be changed, but it belongs to %s and you are %s: run this as that "
            "user, remove it, or use a clone of your own."
            % (place, user_name(place.stat().st_uid), user_name(os.geteuid()))
        )


def user_name(number):
    try:
        return importlib.import_module("pwd").getpwuid(number).pw_name
    except (ImportError, KeyError):
        return "user %d" % number


def find_uv():
    """Where uv is; None also when what is on PATH is a shim that finds none."""
    uv = shutil.which("uv")
    return uv if uv and answer([uv, "--version"]) else None


def is_usable(uv):
    """Whether the packages can go into the venv that is there."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    if answer([str(PYTHON), "-c", ask]) != version():
        return False  # none, a broken one, or one of another Python
    if str(VENV) not in read(VENV / "bin" / "activate"):
        return False  # it was made elsewhere and moved here
    return bool(uv or answer([str(PYTHON), "-m", "pip", "--version"]))


# ---- installing ----------------------------------------------------------------------


def install_anyhow(uv):
    try:
        if not is_usable(uv):
            make_venv(uv)
        install_packages(uv)
    except Problem as problem:
        if not uv:
            raise Problem(
                "%s\nWhen that is put right, start again." % problem
            ) from None
        # A machine set up for pip (its index, its certificates) need not be for uv.
        say("%s\nOnce more, with pip." % problem)
        install_anyhow(None)


def make_venv(uv):
    # The Python below any venv that is active: ours may be the one to be replaced.
    python = getattr(sys, "_base_executable", None) or sys.executable
    if not uv:
        check_venv_module()
    shutil.rmtree(str(VENV), ignore_errors=True)
    if VENV.exists() or VENV.is_symlink():
        raise Problem("%s is of no use and cannot be removed: do that first." % VENV)
    VENV.mkdir()
    by_uv = [uv, "venv", "--allow-existing", "--python", python]
    run("making .venv", (by_uv if uv else [python, "-m", "venv"]) + [str(VENV)])


def check_venv_module():
    find = importlib.import_module("importlib.util").find_spec
    if not (find("venv") and find("ensurepip")):
        raise Problem(
            "This Python (%s) cannot make virtual environments.\n"
            "On Debian or Ubuntu: apt-get install python%s-venv (or python3-venv).\n"
            "Or install uv." % (sys.executable, version())
        )


def install_packages(uv):
    by_uv = [uv, "pip", "install", "--python", str(PYTHON)]
    by_pip = [str(PYTHON), "-m", "pip", "install", "--no-input"]
    title = "installing packages into .venv with " + ("uv" if uv else "pip")
    run(title, (by_uv if uv else by_pip) + ["--editable", "%s[dev]" % ROOT])


def run(title, command):
    """Run a step of the install, its output in the log; show that it lives."""
    with LOG.open("ab") as log:
        log.write(("$ " + " ".join(command) + "\n").encode("utf-8", "replace"))
        log.flush()
        beginning = log.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=str(ROOT),
            close_fds=False,  # the lock
            env=dict(clean_environment(), **INSTALLER),
        )
    try:
        watch(title, process)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        raise Problem(
            explain(title, LOG.read_bytes()[beginning:].decode("utf-8", "replace"))
        )


def watch(title, process):
    start, beat, live = time.time(), 0, sys.stderr.isatty()
    if not live:
        say(title)
    while process.poll() is None:
        time.sleep(0.1)
        beat += 1
        if live:
            sign, spent = "|/-\\"[beat % 4], time.time() - start
            sys.stderr.write("\r%s %s, %d s " % (sign, title, spent))
            sys.stderr.flush()
        elif beat % (HEARTBEAT * 10) == 0:
            say("  still at it after %d s" % (time.time() - start))
    if live:
        sys.stderr.write("\r\033[K")
    if not process.returncode:
        say("%s: %.1f s" % (title if live else "  done", time.time() - start))


def explain(title, output):
    """The message for an install that failed, from the installer's own words."""
    lines = ["%s failed. The end of %s:" % (title, LOG)]
    lines += ["  " + line for line in output.strip().splitlines()[-TAIL:]]
    missing = what_is_missing(output)
    if missing:
        lines.append("Could not be fetched: " + ", ".join(missing))
        lines.append("Is the package index within reach? pip and uv follow the usual")
        lines.append("settings: HTTPS_PROXY, and PIP_INDEX_URL or UV_DEFAULT_INDEX.")
    return "\n".join(lines)


def what_is_missing(output):
    patterns = (
        r"No matching distribution found for ([^\s,;]+)",  # pip
        r"Failed to (?:fetch|download)[^`\n:]*:? ?`?([^`\s]+)",  # uv, the network
        r"[Bb]ecause ([\w.-]+)(?:\[\w+\])? was not found",  # uv, the index
    )
    found = (name for pattern in patterns for name in re.findall(pattern, output))
    return sorted(set(found))


# ---- small things --------------------------------------------------------------------


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def answer(command):
    """What a program prints; empty when it fails or is not there."""
    try:
        output = subprocess.check_output(
            command,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return output.decode("utf-8", "replace").strip()


def read(path):
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Problem as problem:
        say(str(problem))
        sys.exit(1)
    except KeyboardInterrupt:
        say("\ninterrupted")
        sys.exit(130)
