"""The wheels of this tree, and virtual environments that have what such a wheel asks for and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import unmeasured

ROOT = Path(__file__).parents[2]
PROJECTS = {
    "ocrqueue": ROOT / "producer",
    "ocrqueue-gateway": ROOT / "producer/ocrqueue_gateway",
    "ocrqueue-worker": ROOT / "worker",
}
HEAVY = {"tesserocr", "pytesseract", "keras-ocr", "tensorflow", "opencv-python", "opencv-python-headless", "numpy"}
"""What only an extra may bring."""


def build_wheel(project: str, folder: Path) -> Path:
    build = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECTS[project])]
    subprocess.run([sys.executable, *build], env=unmeasured(), check=True, capture_output=True)
    (wheel,) = folder.glob(f"{project.replace('-', '_')}-*.whl")
    return wheel


def pinned(name: str, folder: Path) -> Path:
    """The pins of requirements/`name`.txt as constraints, also for what stands there as another build."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    text += text.replace("tensorflow-cpu==", "tensorflow==").replace("opencv-python-headless==", "opencv-python==")
    made = folder / f"{Path(name).name}-pins.txt"
    made.write_text("".join(sorted({line for line in text.splitlines(keepends=True) if "==" in line})), "utf-8")
    return made


@dataclass(frozen=True)
class Environment:
    """A virtual environment. Its programs run isolated: neither PYTHONPATH nor a user's packages reach them."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    def program(self, name: str) -> tuple[str, ...]:
        """Arguments of `python` that start a program as its script does: in a copy the script names the original."""
        return "-I", str(self.folder / "bin" / name)

    def run(
        self, program: str, *arguments: object, cwd: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [self.python, *self.program(program), *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, env=env, check=False, capture_output=True, text=True, timeout=300)

    def pip(self, *arguments: object) -> str:
        """By this process's pip: to give each environment its own takes seconds."""
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *map(str, arguments)]
        outside = {name: value for name, value in unmeasured().items() if name != "PYTHONPATH"}
        done = subprocess.run(command, env=outside, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def install(self, *requirements: object, constraints: Path) -> None:
        self.pip("install", "--quiet", "--no-compile", "--constraint", constraints, *requirements)

    def installed(self) -> set[str]:
        return {package["name"].lower() for package in json.loads(self.pip("list", "--format=json"))}

    def copy(self, folder: Path) -> Environment:
        """The same, to install more into: what several have in common is installed once, and its files are shared."""
        shutil.copytree(self.folder, folder, symlinks=True, copy_function=os.link)
        return Environment(folder)


def empty_environment(folder: Path) -> Environment:
    venv.create(folder, with_pip=False, symlinks=True)
    return Environment(folder)
