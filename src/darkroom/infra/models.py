"""Models in their bucket: what is there, and bringing more from a file or a hub, as a stream."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

import httpx
from boto3.s3.transfer import TransferConfig

from darkroom.errors import LinkUnreachable, SettingsError
from darkroom.infra.cloud import Cloud, Told, translated

# The guide's folders; a runtime finds its models by them.
FOLDERS = (
    "CLIP", "Codeformer", "ControlNet", "ESRGAN", "GFPGAN", "LDSR", "Lora", "RealESRGAN", "ScuNET",
    "Stable-diffusion", "SwinIR", "VAE", "VAE-approx", "embeddings", "hypernetworks",
)  # fmt: skip
CHECKPOINTS = "Stable-diffusion"
EXTENSIONS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
# The checkpoint that the guide's script brings where the user has none.
DEFAULT_MODEL = "v1-5-pruned-emaonly.safetensors"
DEFAULT_MODEL_URL = (
    "https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5/resolve/main/v1-5-pruned-emaonly.safetensors"
)
# Ten parts or so are in memory at a time; S3 takes 10,000 parts, so a model may have 160 GB.
_PART_BYTES = 16 * 1024 * 1024
_TOLD_EVERY_BYTES = 500_000_000
_TRANSFER = TransferConfig(multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, max_concurrency=4)


@dataclass(frozen=True)
class StoredModel:
    """One model file in the bucket."""

    key: str
    size_bytes: int


def list_models(cloud: Cloud, bucket: str) -> list[StoredModel]:
    """Everything in the guide's folders."""
    found = []
    with translated(f"listing the models in {bucket}"):
        for page in cloud.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                if entry["Key"].partition("/")[0] in FOLDERS and not entry["Key"].endswith("/"):
                    found.append(StoredModel(entry["Key"], entry["Size"]))
    return found


def has_checkpoint(cloud: Cloud, bucket: str, filename: str) -> bool:
    """Whether the bucket has this checkpoint."""
    key = f"{CHECKPOINTS}/{filename}"
    with translated(f"looking for {key} in {bucket}"):
        found = cloud.client("s3").list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    return any(entry["Key"] == key for entry in found.get("Contents", []))


def upload_model(
    cloud: Cloud, bucket: str, source: str, folder: str = CHECKPOINTS, name: str | None = None, *, told: Told
) -> str:
    """Bring a file or an https:// link into the bucket, in parts, without keeping it whole; return its key.

    Each half gigabyte is told. A name without an extension becomes a `.ckpt`, as the guide says of Civitai's. Nothing
    is left behind when it fails. Raises `SettingsError` for what cannot be a model, `LinkUnreachable` and `AwsFailure`.
    """
    if folder not in FOLDERS:
        raise SettingsError(f"there is no folder {folder!r} for models; there are: {', '.join(FOLDERS)}")
    name = name or unquote(Path(urlsplit(source).path).name)
    if not Path(name).suffix:
        name += ".ckpt"
    if Path(name).suffix.lower() not in EXTENSIONS:
        raise SettingsError(f"{name} is not a model: its name must end in one of {', '.join(EXTENSIONS)}")
    key = f"{folder}/{name}"
    with _opened(source) as stream, translated(f"uploading {key}"):
        progress = _Progress(name, told)
        cloud.client("s3").upload_fileobj(cast("Any", stream), bucket, key, Callback=progress, Config=_TRANSFER)
    told(f"s3://{bucket}/{key}: uploaded")
    return key


class _Progress:
    """Called with the bytes that were sent, by one thread or another."""

    def __init__(self, name: str, told: Told) -> None:
        self._name = name
        self._told = told
        self._sent = 0
        self._lock = threading.Lock()

    def __call__(self, sent: int) -> None:
        with self._lock:
            before, self._sent = self._sent, self._sent + sent
            if before // _TOLD_EVERY_BYTES != self._sent // _TOLD_EVERY_BYTES:
                self._told(f"{self._name}: {self._sent / 1e9:.1f} GB sent")


@contextlib.contextmanager
def _opened(source: str) -> Iterator[IO[bytes] | _HttpStream]:
    if not source.startswith(("http://", "https://")):
        try:
            with Path(source).open("rb") as file:
                yield file
        except OSError as error:
            raise SettingsError(f"the model {source} cannot be read: {error.strerror}") from None
        return
    try:
        with httpx.stream("GET", source, follow_redirects=True, timeout=httpx.Timeout(30, read=120)) as reply:
            if reply.status_code != 200:
                raise LinkUnreachable(source, f"its server answered {reply.status_code}")
            yield _HttpStream(reply)
    except httpx.HTTPError as error:
        raise LinkUnreachable(source, str(error)) from None


class _HttpStream:
    """A response body that can be read like a file, whose end must come where the server said it would."""

    def __init__(self, reply: httpx.Response) -> None:
        self._chunks = reply.iter_bytes(1024 * 1024)
        self._expected = reply.headers.get("content-length")
        self._source = str(reply.url)
        self._buffer = bytearray()
        self._received = 0

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes, or all that is left."""
        while size < 0 or len(self._buffer) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                if self._expected is not None and self._received != int(self._expected):
                    raise LinkUnreachable(self._source, f"it ended after {self._received} of {self._expected} bytes")
                break
            self._received += len(chunk)
            self._buffer += chunk
        taken = bytes(self._buffer if size < 0 else self._buffer[:size])
        del self._buffer[: len(taken)]
        return taken
