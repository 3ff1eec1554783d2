"""The package setup: its metadata agree, and importing it is fast."""

from __future__ import annotations

import ast
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import esg

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FACES = {"comfy", "comfy_api", "folder_paths", "nodes", "server", "gradio", "web_demo", "esg_nodes"}


@pytest.fixture
def project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def imported(file: Path) -> list[tuple[int, str]]:
    """(level, top-level name) of every import statement in a source file; level 0 is an absolute import."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(0, alias.name.split(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, (node.module or "").split(".")[0]))
    return found


def test_requirements_equal_base_dependencies(root: Path, project: dict) -> None:
    lines = (root / "requirements.txt").read_text(encoding="utf-8").split()
    assert lines == project["dependencies"]


def test_base_dependencies_have_lower_bounds_only(project: dict) -> None:
    for requirement in project["dependencies"]:
        assert not set("<=!~;@") & set(requirement.replace(">=", "", 1)), requirement


def test_the_version_is_the_same_everywhere(root: Path, project: dict) -> None:
    assert project["version"] == esg.__version__
    assert f"\nversion: {esg.__version__}\n" in (root / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.parametrize(("folder", "made"), [(".venv", ".installed-demo"), (".venv-oldest", ".installed")])
def test_an_environment_that_was_not_finished_is_made_again(root: Path, tmp_path: Path, folder: str, made: str) -> None:
    """As where Debian's python3-venv is missing: there is a python then, but no pip."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("needs make")
    for name in ("Makefile", "pyproject.toml", "tests/oldest.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / folder / "bin").mkdir(parents=True)
    (tmp_path / folder / "bin/python").symlink_to(sys.executable)
    command = [make, f"{folder}/{made}", "PYTHON=echo asked for"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert f"asked for -m venv {folder}" in run.stdout.splitlines()


def test_import_is_light(root: Path) -> None:
    """A fresh `import esg` loads nothing heavy; timing is not asserted, what would cost the time is."""
    code = "import esg, sys; dir(esg); print(*{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    loaded = run.stdout.split()
    assert "esg" in loaded
    assert not {"torch", "numpy", "scipy", "PIL", "transformers", "huggingface_hub", "gradio"} & set(loaded)


@pytest.mark.parametrize("name", esg.__all__)
def test_public_names_resolve(name: str) -> None:
    assert getattr(esg, name) is not None
    assert name in dir(esg)


def test_no_public_name_is_that_of_a_module() -> None:
    """Importing the module `esg.overlay` would put it in the place of a function `esg.overlay`."""
    modules = {module.name for module in pkgutil.iter_modules(esg.__path__)}
    assert not modules & {*esg.__all__}


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        esg.nonsense  # noqa: B018


def test_core_knows_no_face_and_imports_itself_relatively(root: Path) -> None:
    for file in sorted((root / "esg").rglob("*.py")):
        absolute = {name for level, name in imported(file) if level == 0}
        assert not absolute & (FACES | {"esg"}), file


def test_page_knows_the_core_only(root: Path) -> None:
    for file in sorted((root / "web_demo").rglob("*.py")):
        assert not {name for _, name in imported(file)} & {"esg_nodes", "comfy", "tests"}, file


def test_esg_is_the_package_and_not_the_checkout_folder(root: Path) -> None:
    """In a checkout folder that is itself called `esg`, `import esg` still finds the package inside it."""
    assert Path(esg.__file__).resolve() == root / "esg" / "__init__.py"


def test_what_the_registry_of_comfyui_demands(root: Path, project: dict) -> None:
    tool = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["comfy"]
    assert re.fullmatch(r"(?!.*comfyui)[a-z][a-z0-9_-]{0,99}", project["name"].lower())
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert project["license"]
    assert project["urls"]["Repository"].startswith("https://")
    assert tool["DisplayName"]
    assert re.fullmatch(r">=\d+\.\d+\.\d+", tool["requires-comfyui"])
    owner = project["urls"]["Repository"].split("/")[3]
    assert tool["PublisherId"] == owner
    icon = tool["Icon"].removeprefix(f"https://raw.githubusercontent.com/{owner}/esg/main/")
    assert (root / icon).is_file()
    known = {"Environment :: GPU :: NVIDIA CUDA", "Environment :: GPU :: AMD ROCm", "Environment :: GPU :: Intel Arc"}
    known |= {"Environment :: NPU :: Huawei Ascend", "Environment :: GPU :: Apple Metal"}
    assert {line for line in project["classifiers"] if line.startswith("Environment ::")} <= known
