"""Upscalers by their SD Web UI names: Lanczos and Nearest always, neural ones when their weights are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from darkroom.errors import Fault, InvalidRequest, NotFound
from darkroom.inference.limits import MAX_REQUEST_PIXELS


@dataclass(frozen=True, slots=True)
class Upscaler:
    """An upscaler's name, its scale, and for a neural one where its weights lie or should lie."""

    name: str
    scale: float = 4.0
    folder: str | None = None
    stems: tuple[str, ...] = ()
    file: Path | None = None


#: The guide's list, each with the folder that the guide's layout gives it and the usual names of its weights.
NEURAL_UPSCALERS = (
    Upscaler("4x-UltraSharp", 4.0, "ESRGAN", ("4x-UltraSharp", "4x_UltraSharp")),
    Upscaler("ESRGAN_4x", 4.0, "ESRGAN", ("ESRGAN_4x", "ESRGAN")),
    Upscaler("LDSR", 4.0, "LDSR", ("model",)),
    Upscaler("R-ESRGAN 4x+", 4.0, "RealESRGAN", ("RealESRGAN_x4plus",)),
    Upscaler("R-ESRGAN 4x+ Anime6B", 4.0, "RealESRGAN", ("RealESRGAN_x4plus_anime_6B",)),
    Upscaler("ScuNET GAN", 4.0, "ScuNET", ("ScuNET", "scunet_color_real_gan")),
    Upscaler("ScuNET PSNR", 4.0, "ScuNET", ("ScuNET PSNR", "scunet_color_real_psnr")),
    Upscaler("SwinIR 4x", 4.0, "SwinIR", ("SwinIR_4x", "003_realSR_BSRGAN_DFOWMFC_s64w8_SwinIR-L_x4_GAN")),
)
#: SD Web UI's ways to enlarge between the two passes without leaving the latents.
LATENT_UPSCALERS = (
    "Latent",
    "Latent (antialiased)",
    "Latent (bicubic)",
    "Latent (bicubic antialiased)",
    "Latent (nearest)",
    "Latent (nearest-exact)",
)
#: A request may also use the spelling of the guide's text.
ALIASES = {"ESRGAN_4X": "ESRGAN_4x"}
WEIGHTS = (".safetensors", ".pth", ".pt")
FOLDERS = ("ESRGAN", "RealESRGAN", "SwinIR", "ScuNET", "LDSR")


class NeuralScaler(Protocol):
    """Runs an upscaler's network."""

    def enlarge(self, picture: Image.Image, weights: Path) -> Image.Image:
        """An RGB picture, enlarged by whatever factor the weights give.

        Raises `InvalidRequest` where that makes more than `MAX_ENLARGED_PIXELS`, `ModelUnusable` and `MissingExtra`.
        """
        ...


class Upscaling:
    """Finds upscalers in the model folders, and applies them."""

    def __init__(self, models: Path | None, neural: NeuralScaler) -> None:
        """`models` is the folder that holds `ESRGAN`, `RealESRGAN`, …; None when there is none."""
        self._models = models
        self._neural = neural

    def list(self) -> Sequence[Upscaler]:
        """Those that can be used now, and the named ones whose weights are missing (`file` None)."""
        named = [self._with_file(upscaler) for upscaler in NEURAL_UPSCALERS]
        taken = {upscaler.file for upscaler in named}
        others = [
            Upscaler(file.stem, 4.0, folder, (file.stem,), file)
            for folder in FOLDERS
            for file in self._files(folder)
            if file not in taken
        ]
        return [Upscaler("None"), Upscaler("Lanczos"), Upscaler("Nearest"), *named, *others]

    def check(self, name: str) -> None:
        """Raises `NotFound` for a name that `upscale` would refuse. Looks into folders."""
        upscaler = self._find(name)
        if upscaler.folder is not None and upscaler.file is None:
            raise NotFound(self._missing(upscaler))

    def upscale(self, name: str, picture: Image.Image, width: int, height: int) -> Image.Image:
        """The picture at the size asked for, its colours enlarged as `name` says and its transparency by Lanczos.

        Raises `NotFound` (an unknown name, or weights that are missing: the text says which file to put where),
        `ModelUnusable` and `InvalidRequest`.
        """
        if width * height > MAX_REQUEST_PIXELS:
            raise InvalidRequest(
                [Fault("upscaling_resize", f"{width}x{height} is more than {MAX_REQUEST_PIXELS} pixels; ask for less")]
            )
        upscaler = self._find(name)
        size = (max(1, width), max(1, height))
        if upscaler.name == "None" or upscaler.name == "Lanczos":
            return picture.resize(size, Image.Resampling.LANCZOS)
        if upscaler.name == "Nearest":
            return picture.resize(size, Image.Resampling.NEAREST)
        if upscaler.file is None:
            raise NotFound(self._missing(upscaler))
        enlarged = picture.convert("RGB")
        for _ in range(3):
            if enlarged.width >= size[0] and enlarged.height >= size[1]:
                break
            before = enlarged.size
            enlarged = self._neural.enlarge(enlarged, upscaler.file)
            if enlarged.size == before:  # a denoiser such as ScuNET keeps the size
                break
        enlarged = enlarged.resize(size, Image.Resampling.LANCZOS)
        if picture.mode == "RGBA":
            enlarged.putalpha(picture.getchannel("A").resize(size, Image.Resampling.LANCZOS))
        return enlarged

    def _find(self, name: str) -> Upscaler:
        wanted = ALIASES.get(name, name)
        upscalers = {upscaler.name: upscaler for upscaler in self.list()}
        if wanted not in upscalers:
            raise NotFound(f"could not find upscaler named {name}; upscalers: {', '.join(upscalers)}")
        return upscalers[wanted]

    def _with_file(self, upscaler: Upscaler) -> Upscaler:
        if upscaler.folder is None or upscaler.name == "LDSR":
            return upscaler  # LDSR is a diffusion model of its own, which no engine here can run
        for file in self._files(upscaler.folder):
            if file.stem in upscaler.stems:
                return Upscaler(upscaler.name, upscaler.scale, upscaler.folder, upscaler.stems, file)
        return upscaler

    def _files(self, folder: str) -> Sequence[Path]:
        if self._models is None or not (self._models / folder).is_dir():
            return ()
        return sorted(file for file in (self._models / folder).iterdir() if file.suffix in WEIGHTS)

    def _missing(self, upscaler: Upscaler) -> str:
        if upscaler.name == "LDSR":
            return (
                "upscaler 'LDSR' cannot be used with this runtime, whatever weights there are: it is a diffusion model "
                "of its own; take another, such as 'R-ESRGAN 4x+'"
            )
        where = f"{self._models if self._models is not None else 'MODELS'}/{upscaler.folder}"
        hint = "" if self._models is not None else " and start the runtime with --models MODELS"
        return f"upscaler {upscaler.name!r} has no weights: put {upscaler.stems[0]}.pth into {where}{hint}"
