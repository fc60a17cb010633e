"""Neural upscalers: spandrel recognises the network from its weights, ours runs it in tiles."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkroom.errors import InferenceFailure, ModelUnusable, NotFound
from darkroom.inference import neural_upscaling
from darkroom.inference.neural_upscaling import SpandrelScaler
from darkroom.inference.upscaling import Upscaling

torch = pytest.importorskip("torch")


class _Absent(ModuleType):
    """Whatever is asked of it, it has."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self.__name__}.{name}")

    def __call__(self, *_: object, **__: object) -> None:
        return None


@pytest.fixture(scope="module")
def spandrel() -> Iterator[Any]:
    """spandrel. Where torchvision has no build for this torch, a stand-in lets it be imported.

    The networks tested here use nothing of torchvision; all they do is torch's.
    """
    if importlib.util.find_spec("spandrel") is None:
        pytest.skip("spandrel is not installed")
    added = []
    if importlib.util.find_spec("torchvision") is None:
        for name in ("", ".ops", ".transforms", ".transforms.functional", ".models", ".utils"):
            module = _Absent(f"torchvision{name}")
            module.__path__ = []
            module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None, is_package=True)
            sys.modules[module.__name__] = module
            added.append(module.__name__)
    torch.set_num_threads(1)
    yield importlib.import_module("spandrel")
    for name in added:
        del sys.modules[name]


@pytest.fixture(scope="module")
def models(spandrel: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny random networks of three architectures, under the names that the guide's users give them."""
    root = tmp_path_factory.mktemp("upscalers")
    for folder in ("ESRGAN", "RealESRGAN", "SwinIR", "ScuNET"):
        (root / folder).mkdir()

    def network(path: str, name: str) -> Any:
        return getattr(importlib.import_module(f"spandrel.architectures.{path}"), name)

    rrdb = network("ESRGAN.__arch.RRDB", "RRDBNet")(in_nc=3, out_nc=3, num_filters=8, num_blocks=1, scale=4)
    swin = network("SwinIR.__arch.SwinIR", "SwinIR")(
        upscale=4,
        in_chans=3,
        img_size=64,
        window_size=8,
        depths=[2],
        embed_dim=12,
        num_heads=[2],
        mlp_ratio=2,
        upsampler="nearest+conv",
        resi_connection="1conv",
    )
    scunet = network("SCUNet.__arch.SCUNet", "SCUNet")(in_nc=3, config=[1] * 7, dim=64)
    torch.save(rrdb.state_dict(), root / "RealESRGAN" / "RealESRGAN_x4plus.pth")
    torch.save(rrdb.state_dict(), root / "ESRGAN" / "of-my-own.pth")
    torch.save({"params": swin.state_dict()}, root / "SwinIR" / "SwinIR_4x.pth")
    torch.save(scunet.state_dict(), root / "ScuNET" / "ScuNET.pth")
    (root / "ESRGAN" / "4x-UltraSharp.pth").write_bytes(b"not weights")
    return root


@pytest.mark.parametrize("name", ["R-ESRGAN 4x+", "of-my-own", "SwinIR 4x", "ScuNET GAN"])
def test_every_architecture_enlarges_to_the_size_asked_for(models: Path, name: str) -> None:
    picture = Image.effect_noise((40, 24), 60).convert("RGB")
    upscaling = Upscaling(models, SpandrelScaler())
    enlarged = upscaling.upscale(name, picture, 100, 60)
    assert enlarged.size == (100, 60)
    assert enlarged.tobytes() != upscaling.upscale("Lanczos", picture, 100, 60).tobytes()


def test_transparency_stays(models: Path) -> None:
    picture = Image.new("RGBA", (16, 16), (200, 10, 10, 0))
    enlarged = Upscaling(models, SpandrelScaler()).upscale("R-ESRGAN 4x+", picture, 64, 64)
    assert enlarged.getchannel("A").getextrema() == (0, 0)


def test_tiles_leave_no_seams(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.effect_noise((90, 70), 60).convert("RGB")
    weights = models / "RealESRGAN" / "RealESRGAN_x4plus.pth"
    whole = np.asarray(SpandrelScaler().enlarge(picture, weights), int)
    monkeypatch.setattr(neural_upscaling, "TILE", 32)
    tiled = np.asarray(SpandrelScaler().enlarge(picture, weights), int)
    assert tiled.shape == (280, 360, 3)
    assert np.abs(whole - tiled).max() <= 1


def test_broken_weights_are_a_clear_error(models: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"4x-UltraSharp.pth cannot be used"):
        Upscaling(models, SpandrelScaler()).upscale("4x-UltraSharp", Image.new("RGB", (8, 8)), 32, 32)


def test_missing_weights_say_where_they_belong(models: Path) -> None:
    with pytest.raises(NotFound, match=r"put RealESRGAN_x4plus_anime_6B.pth into .*/RealESRGAN$"):
        Upscaling(models, SpandrelScaler()).upscale("R-ESRGAN 4x+ Anime6B", Image.new("RGB", (8, 8)), 32, 32)


@pytest.mark.parametrize(
    ("name", "put"),
    [
        ("4x-UltraSharp", "put 4x-UltraSharp.pth into .*/ESRGAN"),
        ("ESRGAN_4X", "put ESRGAN_4x.pth into .*/ESRGAN"),
        ("R-ESRGAN 4x+", "put RealESRGAN_x4plus.pth into .*/RealESRGAN"),
        ("R-ESRGAN 4x+ Anime6B", "put RealESRGAN_x4plus_anime_6B.pth into .*/RealESRGAN"),
        ("ScuNET GAN", "put ScuNET.pth into .*/ScuNET"),
        ("ScuNET PSNR", "put ScuNET PSNR.pth into .*/ScuNET"),
        ("SwinIR 4x", "put SwinIR_4x.pth into .*/SwinIR"),
        ("LDSR", "whatever weights there are: it is a diffusion model of its own; take another"),
    ],
)
def test_every_name_of_the_guide_says_what_it_lacks(tmp_path: Path, name: str, put: str) -> None:
    upscaling = Upscaling(tmp_path, SpandrelScaler())
    with pytest.raises(NotFound, match=put):
        upscaling.upscale(name, Image.new("RGB", (8, 8)), 32, 32)
    for always in ("Lanczos", "Nearest"):
        assert upscaling.upscale(always, Image.new("RGB", (8, 8)), 32, 32).size == (32, 32)


def test_other_weights_may_lie_in_any_of_the_guides_folders(models: Path, tmp_path: Path) -> None:
    for folder in ("ESRGAN", "RealESRGAN", "SwinIR", "ScuNET", "LDSR"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"own-{folder}.pth").symlink_to(models / "RealESRGAN" / "RealESRGAN_x4plus.pth")
    upscaling = Upscaling(tmp_path, SpandrelScaler())
    listed = {upscaler.name for upscaler in upscaling.list()}
    for folder in ("ESRGAN", "RealESRGAN", "SwinIR", "ScuNET", "LDSR"):
        assert f"own-{folder}" in listed
    assert upscaling.upscale("own-LDSR", Image.new("RGB", (8, 8)), 32, 32).size == (32, 32)


def test_a_device_that_is_full_is_a_clear_error_and_the_next_picture_can_be_made(models: Path) -> None:
    scaler = SpandrelScaler()
    weights = models / "RealESRGAN" / "RealESRGAN_x4plus.pth"
    picture = Image.new("RGB", (8, 8))
    scaler.enlarge(picture, weights)

    class Full:
        scale, device = 4, "cpu"

        def __call__(self, tile: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    scaler._loaded = (weights, Full())
    with pytest.raises(InferenceFailure, match="no memory left for the upscaler RealESRGAN_x4plus"):
        scaler.enlarge(picture, weights)
    assert scaler.enlarge(picture, weights).size == (32, 32)
