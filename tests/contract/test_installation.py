"""`scripts/install`, in a small checkout: uv installs what the lock file pins, or pip does where uv cannot be had."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


ROOT = Path(__file__).parents[2]
PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "checkout"
version = "1"
"""
# What hatchling does for the real checkout, without hatchling.
BACKEND = """\
import base64, hashlib, zipfile
from pathlib import Path
def build_editable(folder, config_settings=None, metadata_directory=None):
    files = {"checkout.pth": str(Path.cwd()) + "\\n", "checkout-1.dist-info/METADATA": METADATA, "checkout-1.dist-info/WHEEL": WHEEL}
    name = "checkout-1-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr("checkout-1.dist-info/RECORD", "".join(f"{path},,\\n" for path in files))
    return name
METADATA = "Metadata-Version: 2.1\\nName: checkout\\nVersion: 1\\n"
WHEEL = "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
"""  # noqa: E501 - lines of another file


@dataclass(frozen=True)
class Checkout:
    folder: Path
    wheel: Path

    def lock(self, sha256: str | None = None) -> None:
        found = sha256 or hashlib.sha256(self.wheel.read_bytes()).hexdigest()
        (self.folder / "requirements" / "demo.txt").write_text(f"locked==1 \\\n    --hash=sha256:{found}\n")

    def install(self) -> subprocess.CompletedProcess[str]:
        """Run the script where no index can be reached, but a folder has the wheel."""
        wheels = str(self.wheel.parent)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
        environment = {
            **kept,
            "HOME": str(self.folder),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": wheels,
            "UV_OFFLINE": "1",
            "UV_NO_INDEX": "1",
            "UV_FIND_LINKS": wheels,
            "UV_CACHE_DIR": str(self.folder / "cache"),
        }
        command = [str(self.folder / "scripts" / "install"), "requirements/demo.txt"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def installed(self) -> list[str]:
        (packages,) = (self.folder / ".venv" / "lib").glob("python*/site-packages")
        return sorted(path.name for path in packages.glob("*-1.dist-info"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that has pip and nothing else, to be copied: to make one takes seconds."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    return folder


@pytest.fixture
def checkout(tmp_path: Path, environment: Path) -> Checkout:
    folder, wheels = tmp_path / "checkout", tmp_path / "wheels"
    for each in (folder / "scripts", folder / "requirements", wheels):
        each.mkdir(parents=True)
    for script in ("install", "uv-as-pip"):
        shutil.copy(ROOT / "scripts" / script, folder / "scripts")
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    # This uv is in no folder of wheels, and no index can be reached: it cannot be had, unless the test puts it there.
    (folder / "requirements" / "uv.txt").write_text(f"uv==0.0.1 \\\n    --hash=sha256:{'0' * 64}\n")
    shutil.copytree(environment, folder / ".venv", symlinks=True)  # the script calls its Python, which finds the rest
    made = Checkout(folder, _wheel(wheels))
    made.lock()
    return made


def _wheel(folder: Path) -> Path:
    files = {
        "locked.py": "",
        "locked-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: locked\nVersion: 1\n",
        "locked-1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / "locked-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        record = ""
        for name, text in files.items():
            wheel.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{name},sha256={digest},{len(text)}\n"
        wheel.writestr("locked-1.dist-info/RECORD", record)
    return path


def put_uv_into(checkout: Checkout) -> None:
    """As if it had been fetched: there it is, and the list of what to fetch is empty."""
    (checkout.folder / ".venv" / "bin" / "uv").symlink_to(Path(sys.executable).parent / "uv")
    (checkout.folder / "requirements" / "uv.txt").write_text("")


def test_pip_installs_where_uv_cannot_be_had(checkout: Checkout) -> None:
    run = checkout.install()
    assert run.returncode == 0, run.stderr
    assert "installing 1 packages with pip" in run.stdout
    assert checkout.installed() == ["checkout-1.dist-info", "locked-1.dist-info"]


def test_uv_installs_where_it_can_be_had(checkout: Checkout) -> None:
    put_uv_into(checkout)
    run = checkout.install()
    assert run.returncode == 0, run.stderr
    assert "pip" not in run.stdout
    assert checkout.installed() == ["checkout-1.dist-info", "locked-1.dist-info"]


@pytest.mark.parametrize("uv", [False, True], ids=["pip", "uv"])
def test_what_has_another_hash_than_the_locked_one_is_not_installed(checkout: Checkout, uv: bool) -> None:
    if uv:
        put_uv_into(checkout)
    checkout.lock(sha256="0" * 64)
    run = checkout.install()
    assert run.returncode != 0
    assert checkout.installed() == []
    assert "hash" in run.stderr.lower()
