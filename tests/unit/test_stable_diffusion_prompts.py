"""Prompts in SD Web UI's notation, and CLIP's tokens."""

from __future__ import annotations

import pytest

from darkroom.errors import InvalidRequest

pytest.importorskip("tokenizers")

from darkroom.inference.stable_diffusion.prompts import Lora, chunks, take_loras
from darkroom.inference.stable_diffusion.tokenizer import clip_tokenizer, token_ids


def test_the_vocabulary_is_clips() -> None:
    assert clip_tokenizer().get_vocab_size() == 49408
    # The numbers that CLIP's own tokenizer gives.
    assert token_ids("a photo of a cat") == [320, 1125, 539, 320, 2368]
    assert token_ids("Hello, World!") == [3306, 267, 1002, 256]
    assert token_ids("") == []


def test_loras_leave_the_prompt() -> None:
    prompt, loras = take_loras("a cat <lora:style:0.8> and <lora:other>")
    assert prompt == "a cat  and "
    assert loras == (Lora("style", 0.8), Lora("other", 1.0))
    with pytest.raises(InvalidRequest, match="weight must be a number"):
        take_loras("<lora:style:very>")


def test_a_long_prompt_is_several_chunks() -> None:
    assert [len(chunk.ids) for chunk in chunks("cat " * 160, {})] == [75, 75, 10]
    assert [chunk.ids for chunk in chunks("", {})] == [()]


def test_a_textual_inversions_name_becomes_its_tokens() -> None:
    (chunk,) = chunks("a (Moodlight:1.5), moodlights", {"moodlight": (49408, 49409)})
    assert chunk.ids[:3] == (320, 49408, 49409)
    assert chunk.weights[:3] == (1.0, 1.5, 1.5)
    assert chunk.ids.count(49408) == 1
