"""The C2PA library, and the only importer of it: signing, keeping inputs as ingredients, and reading."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

from darkroom.errors import CredentialsUnreadable, MissingExtra, PictureUnsignable, SigningUnavailable
from darkroom.policy import media_types
from darkroom.policy.media_types import MediaType
from darkroom.provenance.certificate import SigningMaterial
from darkroom.provenance.formats import EMBEDDING
from darkroom.provenance.manifest import label_of, relationship_of
from darkroom.provenance.origin import Ingredient
from darkroom.provenance.source_types import uri_of

try:
    from c2pa import Builder, C2paError, C2paSignerInfo, C2paSigningAlg, Context, Reader
    from c2pa import Signer as NativeSigner
except ImportError:
    raise MissingExtra("provenance", "signing pictures, and reading signatures,") from None

_NO_THUMBNAIL = {"builder": {"thumbnail": {"enabled": False}}}
# What a claim made of a certificate takes to be checked once: a picture of one pixel.
_TINY_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)

# Signs some bytes by the algorithm that was told beforehand; called in the thread that signs.
RemoteSign = Callable[[bytes], bytes]


class Signer:
    """Signs with one certificate chain. Threads may share one. `sign_remotely` takes the place of a key at hand."""

    def __init__(
        self,
        material: SigningMaterial,
        *,
        sign_remotely: RemoteSign | None = None,
        timestamp_authority: str | None = None,
    ) -> None:
        self.material = material
        self.stamps_time = timestamp_authority is not None
        self._context = Context.from_dict(_NO_THUMBNAIL)
        self._remotely = sign_remotely
        self._why = threading.local()
        try:
            self._native = self._open(timestamp_authority)
        except C2paError as error:
            raise SigningUnavailable(f"the signing certificate cannot be used: {error}") from None

    def without_timestamp(self) -> Signer:
        """The same without the timestamp authority."""
        return Signer(self.material, sign_remotely=self._remotely)

    def _open(self, timestamp_authority: str | None) -> NativeSigner:
        algorithm, chain = self.material.certificate.algorithm, self.material.chain
        if self._remotely is not None:
            number = C2paSigningAlg[algorithm.upper()]
            return NativeSigner.from_callback(self._call, number, chain.decode(), timestamp_authority)
        if self.material.key is None:
            raise SigningUnavailable(
                "the signing certificate comes without its private key, and no key of AWS KMS is named: "
                "add the key's PEM block, or set provenance.kmsKeyId"
            )
        return NativeSigner.from_info(C2paSignerInfo(algorithm, chain, self.material.key, timestamp_authority))

    def check(self) -> None:
        """Sign a picture of one pixel, and see that the chain leads to its end. Raises `SigningUnavailable`."""
        created = {"action": "c2pa.created", "digitalSourceType": uri_of("digitalCreation")}
        assertion = {"label": "c2pa.actions.v2", "data": {"actions": [created]}}
        manifest = {"claim_generator_info": [{"name": "Darkroom"}], "assertions": [assertion]}
        signed = io.BytesIO()
        try:
            self.sign(manifest, media_types.PNG, io.BytesIO(_TINY_PNG), signed)
        except PictureUnsignable as error:
            raise SigningUnavailable(f"the signing certificate cannot be used: {error.reason}") from None
        anchors = self.material.authorities
        if not anchors:
            return
        with Context.from_dict({"trust": {"user_anchors": anchors.decode()}}) as context:
            signed.seek(0)
            state = Reader("image/png", signed, context=context).get_validation_state()
        if state != "Trusted":
            raise SigningUnavailable(
                "the signing certificate's chain is broken: what stands behind the first certificate is not what "
                "it was issued under; put its own issuer's there"
            )

    def sign(
        self,
        manifest: Mapping[str, Any],
        media_type: MediaType,
        source: BinaryIO,
        destination: BinaryIO | None,
        ingredients: Sequence[Ingredient] = (),
    ) -> bytes:
        """Sign what is in `source`, and return the credentials; with a `destination`, write the signed file there.

        Raises `SigningUnavailable` when that is no fault of the file, and `PictureUnsignable`.
        """
        self._why.fault = None
        try:
            with Builder(json.dumps(manifest), self._context) as builder:
                for ingredient in ingredients:
                    builder.add_ingredient_from_archive(io.BytesIO(ingredient.archive))
                if destination is None:
                    builder.set_no_embed()
                kind = EMBEDDING.get(media_type, media_type.content_type)
                return bytes(
                    builder.sign(self._native, kind, source, io.BytesIO() if destination is None else destination)
                )
        except C2paError as error:
            if isinstance(self._why.fault, SigningUnavailable):  # the library says only that there was a fault
                raise self._why.fault from None
            if self._why.fault is not None or isinstance(error, C2paError.Signature):
                raise SigningUnavailable(f"signing failed: {self._why.fault or error}") from None
            raise PictureUnsignable(str(error)) from None

    def _call(self, data: bytes) -> bytes:
        if self._remotely is None:
            raise AssertionError("there is no remote key")
        try:
            return self._remotely(data)
        except Exception as error:
            self._why.fault = error
            raise


def keep_ingredient(data: BinaryIO, media_type: MediaType, index: int, title: str) -> Ingredient | None:
    """Keep what an input says of itself, for the credentials of what is made from it.

    None for a file of a kind, or in a state, that the library cannot read.
    """
    if media_type not in EMBEDDING:
        return None
    described = {"title": title, "relationship": relationship_of(index), "label": label_of(index)}
    archive = io.BytesIO()
    try:
        with (
            Context.from_dict(_NO_THUMBNAIL) as context,
            Builder(json.dumps({"claim_generator_info": [{"name": "Darkroom"}]}), context) as builder,
        ):
            builder.add_ingredient(json.dumps(described), EMBEDDING[media_type], data)
            builder.write_ingredient_archive(label_of(index), archive)
    except C2paError:
        return None
    return Ingredient(archive.getvalue())


def read_credentials(
    data: BinaryIO, media_type: MediaType, *, sidecar: bytes | None = None, trust_anchors: bytes | None = None
) -> tuple[dict[str, Any], str] | None:
    """What the credentials of a file say, as the library's JSON, and its verdict: Invalid, Valid or Trusted.

    None where there are none. `trust_anchors` are certificates as PEM. Raises `CredentialsUnreadable`.
    """
    if sidecar is None and media_type not in EMBEDDING:
        return None
    settings: dict[str, Any] = {} if trust_anchors is None else {"trust": {"user_anchors": trust_anchors.decode()}}
    kind = EMBEDDING.get(media_type, media_type.content_type)
    try:
        with Context.from_dict(settings) as context, Reader(kind, data, sidecar, context=context) as reader:
            state = reader.get_validation_state()
            return json.loads(reader.json()), state or "Invalid"
    except C2paError.ManifestNotFound:
        return None
    except C2paError as error:
        raise CredentialsUnreadable(f"what the file says of its making cannot be read: {error}") from None
