"""What is taken as an idempotency key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.tasks.idempotency import LONGEST_KEY, read_idempotency_key

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=LONGEST_KEY)


@given(PRINTABLE)
def test_a_string_of_rfc_8941_is_read_as_what_it_stands_for(key: str) -> None:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    assert read_idempotency_key(f' "{escaped}" ') == key


@pytest.mark.parametrize("plain", ["8e03978e-40d5-43dd-bc93-6894a57f9324", "a/b", "x" * LONGEST_KEY])
def test_it_is_taken_without_quotation_marks_too(plain: str) -> None:
    assert read_idempotency_key(plain) == plain


@given(st.text(max_size=300))
def test_anything_else_is_none_and_what_is_taken_can_be_kept(header: str) -> None:
    key = read_idempotency_key(header)
    assert key is None or (1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable())
