"""What signs, as the rest of Darkroom sees it: no library is loaded to speak of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Protocol

from darkroom.policy.media_types import MediaType
from darkroom.provenance.certificate import SigningMaterial
from darkroom.provenance.origin import Ingredient


class PictureSigner(Protocol):
    """Signs pictures with one certificate; `darkroom.provenance.library.Signer` is one. Threads may share it."""

    @property
    def material(self) -> SigningMaterial:
        """The chain that it signs with."""
        ...

    @property
    def stamps_time(self) -> bool:
        """Whether a timestamp authority says when it signed."""
        ...

    def without_timestamp(self) -> PictureSigner:
        """The same without the timestamp authority, which may be away."""
        ...

    def sign(
        self,
        manifest: Mapping[str, Any],
        media_type: MediaType,
        source: BinaryIO,
        destination: BinaryIO | None,
        ingredients: Sequence[Ingredient] = (),
    ) -> bytes:
        """Sign `source`, and return the credentials; with a `destination`, write the signed file there.

        Raises `SigningUnavailable` when that is no fault of the file, and `PictureUnsignable`.
        """
        ...
