"""The house stands as it is drawn: arrows point down, what plans is free of torch, extras bring what they say."""

import ast
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest

from espalier.analysis import tables

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "espalier"
#: Who may import whom: only what stands in an earlier row, or its own package.
FLOORS = (
    ("errors",), ("names",), ("runs", "tasks"), ("graphs", "data"), ("nn", "pruning", "analysis"), ("published",),
    ("learning",), ("schedules", "settings"), ("studies",), ("overrides",), ("cli",),
)  # fmt: skip
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def imports(path):
    """The parts of espalier that a file imports, also within functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "espalier":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_arrows_point_down(path):
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    for name in imports(path):
        if own != "__init__" and name in FLOOR and name != own:
            assert FLOOR[name] < FLOOR[own], f"{own} imports {name}"


@pytest.mark.parametrize("package", ["pruning", "graphs", "schedules", "data", "nn", "learning", "tasks"])
def test_the_library_knows_nothing_of_hydra(package):
    for path in (SOURCE / package).rglob("*.py"):
        modules = [
            node.module or ""
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom)
        ]
        assert not [module for module in modules if module.startswith(("hydra", "omegaconf"))], path


def test_what_plans_is_free_of_torch():
    planned = "espalier.studies.plan, espalier.studies.controls, espalier.studies.stories, espalier.learning.training"
    code = f"import sys, {planned}\nassert 'torch' not in sys.modules and 'sklearn' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_extras_bring_what_they_say_and_everything_is_capped():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert [name.split(">")[0] for name in extras["joblib"]] == ["hydra-joblib-launcher"]
    for requirement in (*project["dependencies"], *(name for extra in extras.values() for name in extra)):
        assert "<" in requirement, f"{requirement} has no upper bound"


def test_tables_are_read_to_the_last_digit_without_a_warning(tmp_path):
    values = [0.1, 2 / 3, 1e-300, 0.30000000000000004, 123456789.12345679]
    (tmp_path / "table.csv").write_text("x\n" + "".join(f"{value!r}\n" for value in values))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tables.read(tmp_path / "table.csv")["x"].tolist() == values


def test_nothing_stray_is_tracked():
    """What tests and trials leave in the repository's folder is not taken along."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    tracked = subprocess.run([git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {name.partition("/")[0] for name in tracked} == {
        ".ci", ".gitignore", "Makefile", "README.md", "benchmarks", "conf", "docs", "mkdocs.yml", "prune.py", "pyproject.toml",
        "requirements.lock", "src", "structure_search.py", "tests", "train.py",
    }  # fmt: skip
