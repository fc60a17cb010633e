"""The pocket model's four networks, as ONNX graphs that onnxruntime runs on the CPU."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from darkroom.errors import ModelUnusable
from darkroom.inference.pocket.tokens import Tokenizer

Array = NDArray[np.floating[Any]]

WEIGHTS = Path(__file__).parent / "weights"
#: The denoiser's file carries the model's name, since clients see it as the checkpoint's.
GRAPHS = {"text": "text.onnx", "denoiser": "pocket.onnx", "encoder": "encoder.onnx", "decoder": "decoder.onnx"}
VOCABULARY = "vocabulary.json"
LATENT_SHAPE = (8, 8, 8)
PICTURE_SIDE = 64
LAYOUT_NUMBERS = 6


@dataclass(frozen=True, slots=True)
class Condition:
    """What the denoiser is told: captions [n, 512], layouts [n, 6], and whether each layout is told [n, 1]."""

    captions: Array
    layouts: Array
    known: Array


class Network:
    """Loaded weights. Raises `ModelUnusable` when a file is missing or broken."""

    def __init__(self, folder: Path = WEIGHTS, threads: int = 0) -> None:
        """`threads` 0 lets onnxruntime take every core."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Weights become float32 once, at loading. Left alone, onnxruntime would multiply in int8: coarser, and with
        # another result for a picture alone than for the same picture in a batch.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        # Its threads would wait for the next of these small graphs in a loop that keeps every core busy: two to three
        # times the processor time of the pictures themselves, which agent, gateway and emulator beside it need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._sessions = {
                name: onnxruntime.InferenceSession(
                    (folder / file).read_bytes(), options, providers=["CPUExecutionProvider"]
                )
                for name, file in GRAPHS.items()
            }
            self._tokenizer = Tokenizer(json.loads((folder / VOCABULARY).read_text(encoding="utf-8")))
        except Exception as error:  # onnxruntime has no error class of its own to catch
            raise ModelUnusable(f"the pocket model in {folder} cannot be loaded: {error}") from error

    def session(self, graph: str) -> onnxruntime.InferenceSession:
        """What runs one of `GRAPHS`."""
        return self._sessions[graph]

    def captions(self, texts: list[str]) -> Array:
        """Captions as vectors [n, 512]; an empty text is "no caption"."""
        tokens = self._tokenizer(texts)
        return self._run("text", words=tokens.words, trigrams=tokens.trigrams)

    def predict(self, noisy: Array, time: float, condition: Condition) -> Array:
        """The clean latents [n, 8, 8, 8] that the noisy ones at noise level `time` in 0..1 come from."""
        level = np.full(len(noisy), time, dtype=np.float32)
        return self._run(
            "denoiser",
            noisy=noisy,
            time=level,
            caption=condition.captions,
            layout=condition.layouts,
            known=condition.known,
        )

    def encode(self, pictures: Array) -> Array:
        """Pictures [n, 3, 64, 64] in -1..1 as latents."""
        return self._run("encoder", picture=pictures)

    def decode(self, latents: Array) -> Array:
        """Latents as pictures [n, 3, 64, 64], about -1..1."""
        return self._run("decoder", latent=latents)

    def _run(self, graph: str, **inputs: NDArray[Any]) -> Array:
        # Arithmetic between steps may have widened them; the graphs take float32 and int64 only.
        fitting = {
            name: np.asarray(value, np.int64 if value.dtype.kind == "i" else np.float32)
            for name, value in inputs.items()
        }
        result: Array = self.session(graph).run(None, fitting)[0]
        return result


def weights_hash(folder: Path = WEIGHTS) -> str:
    """SHA-256 over all of the model's files, in hexadecimal."""
    digest = hashlib.sha256()
    for name in (*GRAPHS.values(), VOCABULARY):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()
