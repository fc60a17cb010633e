"""An authority like those on C2PA's trust list, for tests: a root, an intermediate, and leaves that sign claims."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

HOLDER = "Pictures Ltd"
_DAY = timedelta(days=1)
_CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")


def private_key_pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@dataclass
class Authority:
    """Two authorities of this class have the same names and other keys."""

    root_key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def root(self) -> bytes:
        """The certificate that a reader trusts."""
        return self._certificate("Root", "Root", self.root_key.public_key(), self.root_key, is_authority=True)

    @property
    def intermediate(self) -> bytes:
        """The certificate that is shipped behind a leaf."""
        return self._certificate("Intermediate", "Root", self.key.public_key(), self.root_key, is_authority=True)

    def leaf(self, public_key: CertificatePublicKeyTypes, *, begins: float = -1, ends: float = 300) -> bytes:
        """A signer's certificate, valid between these days from now."""
        return self._certificate(
            HOLDER, "Intermediate", public_key, self.key, is_authority=False, begins=begins, ends=ends
        )

    def issue(self, *, begins: float = -1, ends: float = 300, key: PrivateKeyTypes | None = None) -> bytes:
        """A chain and its key in one text, as Darkroom takes them."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        leaf = self.leaf(key.public_key(), begins=begins, ends=ends)  # type: ignore[arg-type]
        return leaf + self.intermediate + private_key_pem(key)

    def _certificate(
        self,
        name: str,
        issuer: str,
        public_key: CertificatePublicKeyTypes,
        signed_by: ec.EllipticCurvePrivateKey,
        *,
        is_authority: bool,
        begins: float = -1,
        ends: float = 300,
    ) -> bytes:
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            digital_signature=not is_authority,
            key_cert_sign=is_authority,
            crl_sign=is_authority,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        issuer_key = signed_by.public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(issuer))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins * _DAY)
            .not_valid_after(now + ends * _DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        )
        if not is_authority:
            purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION, _CLAIM_SIGNING])
            builder = builder.add_extension(purposes, critical=False)
        return builder.sign(signed_by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"{common_name} of a test"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
