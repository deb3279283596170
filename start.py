#!/usr/bin/env python3
"""Starts Daybook from a fresh clone: makes `.venv` beside itself, then runs a command.

Needs nothing but Python; every Python can read this file, to be told what is missing. A
stamp in `.venv`, written last, says what was installed for whom: while it is right, this
costs nothing, and an install that was interrupted is done again.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

try:
    import fcntl
except ImportError:  # not a Unix: two starts at once are then unguarded
    fcntl = None

NEEDED = (3, 11)
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "daybook.stamp")
LOG = os.path.join(VENV, "daybook-install.log")
HEARTBEAT = 10  # seconds between two signs of life where there is no terminal
TAIL = 15  # lines of the installer's output that are shown when it fails

USAGE = """usage: python3 start.py [COMMAND ...]

  dev               the whole product on an embedded Postgres (the default)
  test [ARGS]       lint, types and tests; with ARGS only pytest ARGS
  bench NAME        a benchmark
  soak NAME         a soak test
  anything else     goes to the `daybook` command: env, trigger, doctor, --version ...

The first run installs everything into .venv, with uv if it is on PATH.
"""

# What would send another Python, or an installer, elsewhere.
MISLEADING = (
    ("VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__")
    + ("PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONEXECUTABLE")
    + ("PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONUSERBASE")
    + ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON")
    + ("UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON", "UV_TARGET")
)


class Problem(Exception):
    """Something the user can put right; the message says how."""


def main(arguments):
    problem = version_problem(sys.version_info, sys.executable)
    if problem:
        raise Problem(problem)
    words = arguments or ["dev"]
    if words[0] in ("-h", "--help"):
        sys.stdout.write(USAGE)
        return 0
    command = {"test": test, "bench": bench, "soak": soak}.get(words[0])
    if command in (bench, soak):
        check_name(words)  # before a minute of installing
    if not is_installed():
        install()
    return command(words[1:]) if command else daybook(words)


# ---- commands ------------------------------------------------------------------------


def daybook(words):
    become("daybook", words)  # in the caller's folder: paths mean what was typed


def test(arguments):
    os.chdir(ROOT)
    if not arguments:
        for step in (
            ["ruff", "check", "."],
            ["ruff", "format", "--check", "."],
            ["mypy"],
        ):
            say("-- " + " ".join(step))
            status = subprocess.call([tool(step[0])] + step[1:], env=environment())
            if status:
                return status
    options = pytest_options(arguments)
    say("-- pytest " + " ".join(options))
    become("pytest", options)


def pytest_options(arguments):
    return arguments or ["-n", "2"]  # one at a time where somebody looks at few


def bench(arguments):
    run_module("benchmarks", arguments)


def soak(arguments):
    run_module("tests.soak", arguments)


def run_module(package, arguments):
    os.chdir(ROOT)
    become("python", ["-m", package + "." + arguments[0]] + arguments[1:])


def check_name(words):
    folder = {"bench": "benchmarks", "soak": os.path.join("tests", "soak")}[words[0]]
    known = names(os.path.join(ROOT, folder))
    if not words[1:] or words[1] not in known:
        wrong = "no %s called %s" % (words[0], words[1]) if words[1:] else "which one?"
        there = ", ".join(known) or "(none yet)"
        raise Problem("%s There is: %s" % (wrong + ("" if words[1:] else ""), there))


def names(folder):
    """The modules in `folder` that can be run."""
    entries = os.listdir(folder) if os.path.isdir(folder) else []
    found = [entry[:-3] for entry in entries if re.match(r"[a-z]\w*\.py$", entry)]
    found += [
        entry
        for entry in entries
        if os.path.exists(os.path.join(folder, entry, "__main__.py"))
    ]
    return sorted(set(found) - {"conftest"})


def become(name, arguments):
    """Replace this process: signals then reach the command, and its exit code counts."""
    sys.stdout.flush()
    os.execve(tool(name), [tool(name)] + arguments, environment())


def tool(name):
    return os.path.join(VENV, "bin", name)


def environment():
    """What commands see: this project's environment, whatever else was active."""
    clean = clean_environment()
    clean["DAYBOOK_PROJECT"] = ROOT
    clean["VIRTUAL_ENV"] = VENV
    clean["PATH"] = os.path.dirname(PYTHON) + os.pathsep + clean.get("PATH", os.defpath)
    return clean


def clean_environment():
    return dict((k, v) for k, v in os.environ.items() if k not in MISLEADING)


# ---- installing ----------------------------------------------------------------------


def version_problem(version, executable):
    """What to say to a Python that is too old; None to one that will do."""
    if tuple(version[:2]) >= NEEDED:
        return None
    needed = "%d.%d" % NEEDED
    return (
        "Daybook needs Python %s or newer, and this is %d.%d (%s).\n"
        "Start it with a newer one, as in: python%s start.py\n"
        "On Debian or Ubuntu: apt-get install python3 python3-venv"
        % (needed, version[0], version[1], executable, needed)
    )


def is_installed():
    return read(STAMP) == stamp()


def stamp():
    """What was installed, by which Python, where: scripts in .venv hold its path."""
    if not os.access(PYTHON, os.X_OK):
        return "no python"
    wanted = hashlib.sha256(read(os.path.join(ROOT, "pyproject.toml")).encode("utf-8"))
    parts = (wanted.hexdigest(), version(), ROOT, os.path.realpath(PYTHON))
    return "\n".join(parts) + "\n"


def version():
    return "%d.%d" % tuple(sys.version_info[:2])


def install():
    check_writable()
    with Lock():
        if is_installed():
            return  # by another start.py, while we waited
        remove(STAMP)  # until all is done again, nothing is
        uv = find_uv()
        if not is_usable(uv):
            make_venv(uv)
        install_packages(uv)
        write(STAMP, stamp())


class Lock:
    """Held on this very file, so it needs no file of its own.

    The kernel frees it when its holder ends, also by kill: the next one finds no stamp
    and repeats the install. It is not passed on to what we run.
    """

    def __enter__(self):
        self.file = open(os.path.abspath(__file__))
        try:
            if fcntl:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another start.py to finish installing")
            fcntl.flock(self.file, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks
        return self

    def __exit__(self, *_):
        self.file.close()


def check_writable():
    place = VENV if os.path.exists(VENV) else ROOT
    if os.access(place, os.W_OK):
        return
    raise Problem(
        "%s must be changed but belongs to %s, and you are %s: run this as that user, "
        "or remove it, or use a clone of your own."
        % (place, user_name(os.stat(place).st_uid), user_name(os.geteuid()))
    )


def user_name(number):
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return "user %d" % number


def find_uv():
    """Where uv is; None also when what is on PATH is a shim that finds none."""
    uv = shutil.which("uv")
    return uv if uv and answer([uv, "--version"]) else None


def is_usable(uv):
    """Whether the venv that is there can be installed into."""
    if answer([PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]) != (
        version()
    ):
        return False
    if VENV not in read(os.path.join(VENV, "bin", "activate")):
        return False  # it was made elsewhere and moved here
    return bool(uv or answer([PYTHON, "-c", "import pip; print(pip)"]))


def make_venv(uv):
    # The Python below any venv that is active: ours may be the one to be replaced.
    python = getattr(sys, "_base_executable", None) or sys.executable
    if not uv:
        check_venv_module()
    shutil.rmtree(VENV, ignore_errors=True)
    if not os.path.isdir(VENV):
        os.mkdir(VENV)
    command = [uv, "venv", "--allow-existing", "--python", python, VENV]
    run("making .venv", command if uv else [python, "-m", "venv", VENV])


def check_venv_module():
    import importlib.util

    if all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        return
    raise Problem(
        "This Python (%s) cannot make virtual environments.\n"
        "On Debian or Ubuntu: apt-get install python%s-venv (or python3-venv)\n"
        "Or install uv; then start again." % (sys.executable, version())
    )


def install_packages(uv):
    wanted = ["--editable", ROOT + "[dev]"]
    if uv:
        command = [uv, "pip", "install", "--python", PYTHON] + wanted
    else:
        command = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check"]
        command += ["--no-input"] + wanted
    run("installing packages into .venv with " + ("uv" if uv else "pip"), command)


def run(title, command):
    """Run a step of the install, its output in the log; show that it lives."""
    start = time.time()
    with open(LOG, "ab") as log:
        log.write(("$ " + " ".join(command) + "\n").encode("utf-8", "replace"))
        log.flush()
        beginning = log.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=dict(clean_environment(), UV_PYTHON_DOWNLOADS="never", NO_COLOR="1"),
        )
    try:
        watch(title, process, start)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        raise Problem(explain(title, read(LOG)[beginning:]))


def watch(title, process, start):
    live = sys.stderr.isatty()
    beat = 0 if live else HEARTBEAT
    if not live:
        say(title)
    while process.poll() is None:
        spent = time.time() - start
        if live:
            beat += 1
            sign = "|/-\\"[beat % 4]
            sys.stderr.write("\r%s %s, %d s " % (sign, title, spent))
            sys.stderr.flush()
        elif spent > beat:
            beat += HEARTBEAT
            say("  still at it after %d s" % spent)
        time.sleep(0.1)
    if live:
        sys.stderr.write("\r\033[K")
    if not process.returncode:
        say("%s: %.1f s" % (title if live else "  done", time.time() - start))


def explain(title, output):
    """The message for an install that failed, from the installer's own words."""
    missing = what_is_missing(output)
    lines = ["%s failed. Its last words (all of them: %s):" % (title, LOG)]
    lines += ["  " + line for line in output.strip().splitlines()[-TAIL:]]
    if missing:
        lines.append("Could not be fetched: " + ", ".join(missing))
        lines.append("Is there a way to the package index? pip and uv follow the usual")
        lines.append("settings: PIP_INDEX_URL, UV_DEFAULT_INDEX, HTTPS_PROXY.")
    lines.append("Then start again: what was installed is kept.")
    return "\n".join(lines)


def what_is_missing(output):
    patterns = (
        r"No matching distribution found for ([^\s,;]+)",
        r"Failed to (?:fetch|download)[^`\n]*`([^`\n]+)`",
        r"[Bb]ecause ([\w.-]+) was not found",
    )
    found = [name for pattern in patterns for name in re.findall(pattern, output)]
    return sorted(set(found))


# ---- small things --------------------------------------------------------------------


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def answer(command):
    """What a program prints; empty when it fails or is not there."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
        )
    except OSError:
        return ""
    output = process.communicate()[0].decode("utf-8", "replace").strip()
    return "" if process.returncode else output


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except (IOError, OSError):
        return ""


def write(path, text):
    part = path + ".part"
    with open(part, "wb") as file:
        file.write(text.encode("utf-8"))
    os.rename(part, path)


def remove(path):
    if os.path.exists(path):
        os.remove(path)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Problem as problem:
        say(str(problem))
        sys.exit(1)
    except KeyboardInterrupt:
        say("\ninterrupted; start again to go on")
        sys.exit(130)
