"""Runs upscalers' networks: spandrel recognises the architecture from the weights, torch computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from darkroom.errors import Fault, InferenceFailure, InvalidRequest, MissingExtra, ModelUnusable
from darkroom.inference.limits import MAX_ENLARGED_PIXELS

#: Pictures are enlarged in squares of this many pixels, overlapping, so that memory does not grow with the picture.
TILE = 192
OVERLAP = 16


class SpandrelScaler:
    """Keeps the last network in memory. Called from one thread."""

    def __init__(self) -> None:
        self._loaded: tuple[Path, Any] | None = None

    def enlarge(self, picture: Image.Image, weights: Path) -> Image.Image:
        """See `NeuralScaler`."""
        try:
            import numpy as np
            import spandrel
            import torch
        except ImportError as error:
            raise MissingExtra("diffusers", "upscaling with a neural network") from error
        if self._loaded is None or self._loaded[0] != weights:
            try:
                # spandrel reads .pth files through torch's weights_only unpickler: no code in them is run.
                model = spandrel.ModelLoader(device="cuda" if torch.cuda.is_available() else "cpu").load_from_file(
                    weights
                )
            except Exception as error:  # whatever a broken file makes spandrel or torch raise
                raise ModelUnusable(f"the upscaler {weights} cannot be used: {error}") from error
            if not isinstance(model, spandrel.ImageModelDescriptor):
                raise ModelUnusable(f"the file {weights} holds a network that does not enlarge pictures")
            self._loaded = (weights, model.eval())
        model = self._loaded[1]
        if picture.width * picture.height * model.scale**2 > MAX_ENLARGED_PIXELS:
            raise InvalidRequest(
                [
                    Fault(
                        "upscaler_1",
                        f"{weights.stem} enlarges {model.scale} times, which makes more than {MAX_ENLARGED_PIXELS} "
                        f"pixels of {picture.width}x{picture.height}; take 'Lanczos', or a smaller picture",
                    )
                ]
            )
        pixels = torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255).permute(2, 0, 1)[None]
        try:
            with torch.inference_mode():
                result = _in_tiles(model, pixels.to(model.device), model.scale, torch)
        except torch.OutOfMemoryError as error:
            self._loaded = None  # its memory may be what the next request needs
            raise InferenceFailure(
                f"the device has no memory left for the upscaler {weights.stem}: POST /sdapi/v1/unload-checkpoint "
                "first, or give the runtime a GPU with more memory"
            ) from error
        return Image.fromarray(result.numpy())


def _in_tiles(model: Any, pixels: Any, scale: int, torch: Any) -> Any:
    """The network over overlapping tiles, the inner part of each kept, as [height, width, 3] of bytes."""
    _, _, height, width = pixels.shape
    result = torch.zeros(height * scale, width * scale, 3, dtype=torch.uint8)
    for upper in range(0, height, TILE):
        for left in range(0, width, TILE):
            lower, right = min(height, upper + TILE), min(width, left + TILE)
            above, before = max(0, upper - OVERLAP), max(0, left - OVERLAP)
            tile = model(pixels[:, :, above : min(height, lower + OVERLAP), before : min(width, right + OVERLAP)])
            inner_y, inner_x = (upper - above) * scale, (left - before) * scale
            inner = tile[0, :, inner_y : inner_y + (lower - upper) * scale, inner_x : inner_x + (right - left) * scale]
            result[upper * scale : lower * scale, left * scale : right * scale] = (
                (inner.permute(1, 2, 0).float().clamp(0, 1) * 255).round().byte().cpu()
            )
    return result
