"""`start.py`: any Python can read it, it installs when it must, it says what is wrong."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parents[2] / "start.py"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The launcher as a module, beside a project of its own."""
    spec = importlib.util.spec_from_file_location("start", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    venv = tmp_path / ".venv"
    for name, path in {
        "ROOT": tmp_path,
        "VENV": venv,
        "PYTHON": venv / "bin" / "python",
        "STAMP": venv / "daybook.stamp",
        "LOG": venv / "daybook-install.log",
    }.items():
        monkeypatch.setattr(module, name, path)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return module


@pytest.fixture
def venv(start: ModuleType) -> Path:
    """What looks like a finished venv."""
    venv: Path = start.VENV
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / "bin" / "activate").write_text(f"VIRTUAL_ENV={venv}\n")
    return venv


@pytest.fixture
def steps(start: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps of installing, noted instead of done."""
    done: list[str] = []
    monkeypatch.setattr(start, "run", lambda title, command: done.append(title))
    monkeypatch.setattr(start, "find_uv", lambda: "uv")
    return done


def test_every_python_3_can_read_it() -> None:
    ast.parse(FILE.read_text(), feature_version=(3, 4))


def test_an_old_python_is_told_which_one_is_needed(start: ModuleType) -> None:
    with pytest.raises(start.Problem, match=r"3\.11 or newer, and this is 3\.9 \(/old"):
        start.check_version((3, 9, 2), "/old/python3")
    start.check_version((3, 11, 0), "/python3")
    start.check_version((4, 0, 0), "/python4")


def test_without_venv_the_debian_package_is_named(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(start.Problem, match=r"apt-get install python3\.\d+-venv"):
        start.check_venv_module()


def test_what_is_installed_stays_until_something_changes(
    start: ModuleType, venv: Path, steps: list[str]
) -> None:
    start.install()
    assert start.is_installed()
    start.install()
    assert len(steps) == 1
    (start.ROOT / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert not start.is_installed()
    start.install()
    assert steps == ["installing packages into .venv with uv"] * 2


def test_an_interrupted_install_is_repeated(
    start: ModuleType, venv: Path, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    start.install()
    (start.ROOT / "pyproject.toml").write_text("[project]\nname = 'other'\n")

    def interrupt(title: str, command: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        start.install()
    (start.ROOT / "pyproject.toml").write_text("[project]\n")
    assert not start.is_installed()


def test_where_uv_fails_pip_may_not(
    start: ModuleType,
    venv: Path,
    steps: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(title: str, command: list[str]) -> None:
        steps.append(title)
        if title.endswith("uv"):
            raise start.Problem("uv does not know the way")

    monkeypatch.setattr(start, "run", run)
    start.install()
    assert steps[0].endswith("with uv")
    assert steps[-1].endswith("with pip")
    assert "uv does not know the way" in capsys.readouterr().err
    assert start.is_installed()


@pytest.mark.parametrize("damage", ["gone", "broken", "moved", "other version"])
def test_a_venv_that_is_of_no_use_is_made_anew(
    start: ModuleType,
    venv: Path,
    steps: list[str],
    damage: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start.install()
    python = venv / "bin" / "python"
    python.unlink()
    if damage == "broken":
        python.symlink_to("/nonexistent/python3")
    elif damage == "moved":
        python.symlink_to(sys.executable)
        (venv / "daybook.stamp").unlink()
        (venv / "bin" / "activate").write_text("VIRTUAL_ENV=/elsewhere/.venv\n")
    elif damage == "other version":
        python.symlink_to(sys.executable)
        monkeypatch.setattr(start, "version", lambda: "3.99")
    assert not start.is_installed()
    start.install()
    assert steps[1:] == ["making .venv", "installing packages into .venv with uv"]


def test_an_unknown_name_is_answered_with_those_there_are(start: ModuleType) -> None:
    folder = start.ROOT / "benchmarks"
    folder.mkdir()
    for name in ("publish.py", "fanout.py", "__init__.py", "_shared.py"):
        (folder / name).touch()
    start.check_name(["bench", "publish"])
    with pytest.raises(start.Problem, match=r"no bench x\. .*: fanout, publish$"):
        start.check_name(["bench", "x"])
    with pytest.raises(start.Problem, match=r"Which one.*: fanout, publish$"):
        start.check_name(["bench"])
    with pytest.raises(start.Problem, match="none yet"):
        start.check_name(["soak", "x"])


@pytest.mark.parametrize(
    ("output", "missing"),
    [
        ("ERROR: No matching distribution found for rich>=14", ["rich>=14"]),
        ("error: Failed to fetch: `https://x.test/rich/`", ["https://x.test/rich/"]),
        ("error: Failed to fetch: https://x.test/rich/", ["https://x.test/rich/"]),
        ("Failed to download `rich==14.0.0`", ["rich==14.0.0"]),
        ("Because rich was not found in the package registry", ["rich"]),
        ("error: No space left on device", []),
    ],
)
def test_a_failed_install_says_what_could_not_be_fetched(
    start: ModuleType, output: str, missing: list[str]
) -> None:
    message = start.explain("installing", output)
    assert start.what_is_missing(output) == missing
    assert output in message
    assert ("Could not be fetched" in message) == bool(missing)


def test_a_failing_step_shows_its_own_words(start: ModuleType, venv: Path) -> None:
    script = "print('it', 'broke'); raise SystemExit(3)"
    with pytest.raises(start.Problem, match="it broke"):
        start.run("installing", [sys.executable, "-c", script])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_venv_of_somebody_else_is_named(start: ModuleType, venv: Path) -> None:
    venv.chmod(0o500)
    with pytest.raises(start.Problem, match="belongs to"):
        start.install()


def test_variables_that_mislead_are_dropped(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "UV_PYTHON"):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    assert "/elsewhere" not in start.clean_environment().values()
    assert start.environment()["PYTHONUNBUFFERED"] == "1"
    assert start.environment()["VIRTUAL_ENV"] == str(start.VENV)
    assert start.environment()["DAYBOOK_PROJECT"] == str(start.ROOT)


def test_only_the_whole_suite_runs_in_parallel(start: ModuleType) -> None:
    assert start.pytest_options([]) == ["-n", "3"]
    assert start.pytest_options(["tests/unit"]) == ["tests/unit"]


def test_the_name_of_the_command_may_stand_before_its_words(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(start, "is_installed", lambda: True)
    monkeypatch.setattr(start, "become", lambda name, words: ran.append((name, words)))
    for words in (["env"], ["daybook", "env"], ["daybook"]):
        start.main(words)
    assert ran == [("daybook", ["env"]), ("daybook", ["env"]), ("daybook", ["--help"])]


def test_help_needs_no_install(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, FILE, "--help"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
    )
    assert "dev" in answer.stdout
    assert answer.stderr == ""
