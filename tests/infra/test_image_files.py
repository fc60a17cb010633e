"""What images are built from: that it is there, that it gets to the builder and nothing else does, that it is locked.

No builder runs here. What a Dockerfile copies and what .dockerignore lets through can be known without one.
"""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from darkroom.infra.commands import BUILDABLE, PUBLIC_IMAGES
from darkroom.infra.template.versions import darkroom_version

ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "images").glob("*/Dockerfile"))
# By the extras that are installed.
OWN = {"queue-agent": ("agent", "provenance", "tracing"), "inference": ("diffusers",)}
ids = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(name, rest) for line in text.splitlines() if line.strip() for name, _, rest in [line.partition(" ")]]


def is_sent(path: str) -> bool:
    """Whether the builder gets a file, by the rules of .dockerignore: the last line that fits decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            if re.fullmatch(f"{pattern}(/.*)?", path):
                sent = line.startswith("!")
    return sent


def locked(name: str) -> dict[str, str]:
    """The versions in a lock file, all of them with hashes."""
    found = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / "requirements" / name).read_text().strip()):
        package, _, version = entry.split()[0].partition("==")
        assert version, f"{package} is not pinned in {name}"
        assert "--hash=sha256:" in entry, f"{package} has no hash in {name}"
        found[package.lower()] = version
    return found


def test_every_image_that_can_be_built_has_a_dockerfile() -> None:
    assert {path.parent.name for path in DOCKERFILES} == set(BUILDABLE)


@ids
def test_what_is_copied_is_there_and_is_sent(dockerfile: Path) -> None:
    copied = [
        source
        for name, rest in instructions(dockerfile)
        if name == "COPY" and "--from=" not in rest
        for source in [word for word in rest.split() if not word.startswith("--")][:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert is_sent(source), source


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".darkroom/api_key",
        "config.yaml",
        ".venv/bin/python",
        "cdk.out/template.json",
        "tests/__init__.py",
    ],
)
def test_nothing_else_is_sent(path: str) -> None:
    assert not is_sent(path)


def test_compiled_files_are_not_sent() -> None:
    assert is_sent("src/darkroom/errors/root.py")
    assert not is_sent("src/darkroom/__pycache__/errors.cpython-313.pyc")


@ids
def test_the_base_is_of_one_release(dockerfile: Path) -> None:
    (base,) = {rest.split()[0] for name, rest in instructions(dockerfile) if name == "FROM"}
    assert re.fullmatch(r"python:3\.\d+-slim-(bookworm|trixie)", base)


@ids
def test_nobody_is_root(dockerfile: Path) -> None:
    assert [rest for name, rest in instructions(dockerfile) if name == "USER"][-1] in ("runtime", "10001:10001")


@pytest.mark.parametrize("image", OWN)
def test_only_what_is_locked_gets_into_our_images(image: str) -> None:
    steps = " ".join(rest for name, rest in instructions(ROOT / "images" / image / "Dockerfile") if name == "RUN")
    installs = re.findall(r"pip \S*\s*\S*\s*install.*?(?=&&|$)|pip install.*?(?=&&|$)", steps)
    assert len(installs) == 3
    assert all("--require-hashes" in command or "--no-deps" in command for command in installs)


@pytest.mark.parametrize(("image", "extras"), OWN.items())
def test_the_lock_has_what_the_image_needs_at_the_versions_that_are_tested(image: str, extras: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(text for extra in extras for text in project["optional-dependencies"][extra])]
    names = {re.split(r"[<>=\[ ]", requirement)[0].lower() for requirement in wanted} - {"darkroom-diffusion"}
    found, tested = locked(f"{image}.txt"), locked("test.txt")
    assert names <= set(found)
    assert {name: version for name, version in found.items() if tested.get(name, version) != version} == {}


def test_the_build_is_locked() -> None:
    assert "hatchling" in locked("build.txt")


def test_the_nodes_driver_runs_the_cuda_that_torch_brings() -> None:
    """Bottlerocket's NVIDIA nodes have driver 580: images/inference/constraints.txt has the source."""
    assert locked("inference.txt")["nvidia-cuda-runtime"].startswith("13.0.")


def test_the_tag_of_the_images_is_the_one_that_the_chart_asks_for() -> None:
    chart = yaml.safe_load((ROOT / "charts" / "darkroom-runtime" / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == darkroom_version()


def test_what_the_chart_pulls_from_public_registries_is_mirrored() -> None:
    values = yaml.safe_load((ROOT / "charts" / "darkroom-runtime" / "values.yaml").read_text())
    daemon = values["runtime"]["queueAgent"]["xray"]["daemon"]["image"]
    assert f"{daemon['repository']}:{daemon['tag']}" in PUBLIC_IMAGES


def test_sd_web_ui_finds_each_folder_of_the_bucket_where_it_looks_for_it(tmp_path: Path) -> None:
    """The start script itself, with a program in Web UI's place that says what it was started with."""
    bucket, app = tmp_path / "bucket", tmp_path / "app"
    for name in ("Stable-diffusion", "Lora", "embeddings"):
        (bucket / name).mkdir(parents=True)
    (app / "models" / "Lora").mkdir(parents=True)
    (app / "embeddings").mkdir()
    (app / "embeddings" / "Place Textual Inversion embeddings here.txt").touch()
    python = app / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    environment = {
        "PATH": os.environ["PATH"],
        "MODEL_FOLDER": str(bucket),
        "WEBUI_FOLDER": str(app),
        "API_ONLY": "true",
    }
    script = ROOT / "images" / "sdwebui" / "start.sh"
    said = subprocess.run(["/bin/sh", str(script)], env=environment, capture_output=True, text=True, check=True).stdout
    assert "--nowebui" in said
    assert (app / "embeddings").resolve() == bucket / "embeddings"
    assert not (app / "models" / "embeddings").exists()
    for name in ("Stable-diffusion", "Lora"):
        assert (app / "models" / name).resolve() == bucket / name


def test_sd_web_ui_needs_no_hub_for_its_first_model() -> None:
    """A1111 issue 11507: CLIP's tokenizer is fetched when the first model is loaded."""
    steps = instructions(ROOT / "images" / "sdwebui" / "Dockerfile")
    (brought,) = (number for number, (name, rest) in enumerate(steps) if name == "RUN" and "CLIPTokenizer" in rest)
    (offline,) = (number for number, (name, rest) in enumerate(steps) if name == "ENV" and "HF_HUB_OFFLINE=1" in rest)
    (home,) = (number for number, (name, rest) in enumerate(steps) if name == "ENV" and "HF_HOME=/app/" in rest)
    assert home < brought < offline
    assert "openai/clip-vit-large-patch14" in steps[brought][1]
    assert "TRANSFORMERS_OFFLINE=1" in steps[offline][1]
