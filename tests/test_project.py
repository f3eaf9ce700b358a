"""The files around the code agree with each other and name no machine."""

import importlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import hinterland

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]

# Spelt in two halves, so that this file passes its own test.
REGISTRIES = ["pypi" + ".org", "files.python" + "hosted", "index" + "-url"]
MACHINES = ["/wo" + "rk/", "/ho" + "me/", "/ro" + "ot/"]
SESSIONS = ["this " + "session", "helper " + "session", "sub" + "agent"]


def project_files() -> list[Path]:
    """Tracked files, and new ones that git does not ignore: the next commit, in short."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name for name in listing.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def forbidden(text: str) -> list[str]:
    """The forbidden words of a text."""
    return [word for word in REGISTRIES + MACHINES + SESSIONS if word in text.lower()]


def locked(text: str) -> dict[str, tuple[str, int]]:
    """Name → (version, number of hashes) of each requirement of a lock."""
    found = {}
    for entry in text.replace("\\\n", " ").splitlines():
        if re.match(r"[A-Za-z0-9]", entry):
            name, version = re.match(r"([\w.-]+)==([\w.+!]+)", entry).groups()
            found[canonicalize_name(name)] = (version, entry.count("--hash=sha256:"))
    return found


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["version"] == hinterland.__version__
    assert f" {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_file_names_a_registry_a_machine_or_a_session() -> None:
    files = project_files()
    assert ROOT / "pyproject.toml" in files
    found = {
        path.relative_to(ROOT).as_posix(): words
        for path in files
        if (words := forbidden(path.read_text(encoding="utf-8", errors="ignore")))
    }
    assert found == {}


@pytest.mark.parametrize("word", REGISTRIES + MACHINES + SESSIONS)
def test_a_forbidden_word_is_seen(word: str) -> None:
    assert forbidden(f"see {word.upper()}x") == [word]


def test_each_locked_requirement_has_a_hash() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert [name for name, (_, hashes) in locked(text).items() if not hashes] == []


def test_a_locked_requirement_without_a_hash_is_seen() -> None:
    text = "a==1 ; python_version < '4' \\\n    --hash=sha256:0 \\\n    --hash=sha256:1\nb==2.0\n"
    assert locked(text) == {"a": ("1", 2), "b": ("2.0", 0)}


def test_the_lock_satisfies_every_direct_requirement() -> None:
    lock = locked((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    wanted = [
        *PROJECT["dependencies"],
        *(x for extra in ("test", "sumo", "lux", "pettingzoo", "ray") for x in EXTRAS[extra]),
        *PYPROJECT["dependency-groups"]["build"],
        *PYPROJECT["build-system"]["requires"],
    ]
    assert EXTRAS["test"][0] == "hinterland[sumo,lux,pettingzoo,ray]"
    for requirement in map(Requirement, wanted):
        if requirement.name == "hinterland":
            continue
        version, _ = lock[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}"


def test_a_base_requirement_has_a_lower_bound_and_no_other() -> None:
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert [s.operator for s in requirement.specifier] == [">="], str(requirement)


def test_each_domain_entry_point_can_be_called() -> None:
    for target in PROJECT["entry-points"]["hinterland.domains"].values():
        module, name = target.split(":")
        assert callable(getattr(importlib.import_module(module), name)), target


def test_the_readme_begins_with_the_name() -> None:
    assert (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[0] == "# Hinterland"
