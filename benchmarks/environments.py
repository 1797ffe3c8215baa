"""Where the peers are installed: virtual environments and a node folder below `.bench`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import PROJECT


class LeftOutError(Exception):
    """A peer that cannot be measured here; says why."""


class Environments:
    """A folder with `python3.13` and the like, and `node`; what is there already is used.

    Args:
        folder: where they are, or are made.
        upgrade: whether newer versions of what is installed are asked for.
    """

    def __init__(self, folder: Path, *, upgrade: bool) -> None:
        self._folder = folder.absolute()
        self._upgrade = upgrade

    @property
    def node_folder(self) -> Path:
        """What holds `node_modules`."""
        return self._folder / "node"

    def python(self, versions: Sequence[str], module: str, packages: Sequence[str]) -> str:
        """An interpreter of one of these versions that can import the module.

        Raises:
            LeftOutError: there is none, or a package cannot be installed.
        """
        found = [version for version in versions if self._python(version).exists()]
        version = found[0] if found else self._make(versions)
        python = str(self._python(version))
        if self._upgrade or _fails([python, "-c", f"import {module}"]):
            words = [python, "-m", "pip", "install", "--quiet", "--upgrade", *packages]
            if problem := _fails(words):
                raise LeftOutError(problem)
        return python

    def node(self, packages: Sequence[str]) -> str:
        """A node that finds these packages in `node_folder`.

        Raises:
            LeftOutError: no node, or a package cannot be installed.
        """
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            raise LeftOutError("node or npm is missing")
        modules = self.node_folder / "node_modules"
        if self._upgrade or not all((modules / package).exists() for package in packages):
            self.node_folder.mkdir(parents=True, exist_ok=True)
            newest = [f"{package}@latest" for package in packages]
            words = [npm, "install", "--silent", "--prefix", str(self.node_folder), *newest]
            if problem := _fails(words):
                raise LeftOutError(problem)
        return node

    def python_version(self, versions: Sequence[str], package: str) -> str:
        """Of an installed package."""
        (python, *_) = (self._python(each) for each in versions if self._python(each).exists())
        program = f"from importlib.metadata import version; print(version({package!r}))"
        return subprocess.run(
            [python, "-c", program], capture_output=True, text=True, check=True
        ).stdout.strip()

    def node_version(self, package: str) -> str:
        """Of an installed package."""
        described = self.node_folder / "node_modules" / package / "package.json"
        return str(json.loads(described.read_text())["version"])

    def _python(self, version: str) -> Path:
        return self._folder / f"python{version}" / "bin" / "python"

    def _make(self, versions: Sequence[str]) -> str:
        without_ours = {name: value for name, value in os.environ.items() if name != "PYTHON"}
        for version in versions:
            found = subprocess.run(
                [PROJECT / ".ci" / "find-python", version],
                env=without_ours,
                capture_output=True,
                text=True,
                check=False,
            )
            if found.returncode == 0:
                folder = str(self._folder / f"python{version}")
                if problem := _fails([found.stdout.strip(), "-m", "venv", folder]):
                    raise LeftOutError(problem)
                return version
        raise LeftOutError(f"no Python {' or '.join(versions)} here")


def _fails(command: Sequence[str]) -> str:
    """Why a command fails, in a line; empty if it does not."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    lines = [text for text in (done.stdout + done.stderr).splitlines() if text.strip()]
    return lines[-1] if lines else f"{command[0]} failed"
