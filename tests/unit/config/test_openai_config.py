"""Workflows for OpenAI's API in config.yaml: what is read, and what is refused with its line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from darkroom.config.loader import parse_config
from darkroom.errors import SettingsError
from darkroom.openai.options import decode_options, encode_options

WORKFLOW = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20, "positive": ["6", 0]}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a dog"}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
}


def config(slots: Any, runtime_type: str = "comfyui", kind: str = "generate", workflow: Any = WORKFLOW) -> str:
    section = {"size": "1024x768", "steps": {"low": 4}, kind: {"workflow": workflow, "slots": slots}}
    return f"modelsRuntime:\n- name: comfy\n  type: {runtime_type}\n  openai: {json.dumps(section)}\n"


def test_a_workflow_and_its_slots_are_read() -> None:
    read = parse_config(config({"prompt": "6.text", "seed": ["3.seed"]})).openai_options()
    options = decode_options(encode_options(read))["comfy"]
    assert (options.size, options.steps) == ((1024, 768), {"low": 4})
    assert options.generate is not None
    assert options.generate.slots == {"prompt": ["6.text"], "seed": ["3.seed"]}
    filled = options.generate.filled({"prompt": "a cat", "seed": 4, "steps": 9})
    assert filled["6"]["inputs"]["text"] == "a cat"
    assert filled["3"]["inputs"] == {"seed": 4, "steps": 20, "positive": ["6", 0]}


def test_without_a_word_about_it_there_are_no_options() -> None:
    assert parse_config("modelsRuntime:\n- {name: sd, type: sdwebui}\n").openai_options() == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (config({}), "openai.generate.slots.prompt is missing"),
        (config({"prompt": "6.text"}, kind="edit"), "openai.edit.slots.picture is missing"),
        (config({"prompt": "6"}), "'6' is no place: write NODE.INPUT"),
        (config({"prompt": "7.text"}), "leads to node '7', which is not in the workflow; there are: 3, 6, 9"),
        (config({"prompt": "6.prompt"}), "leads to the input 'prompt', which node '6' does not have; it has: text"),
        (config({"prompt": "6.text", "sampler": "3.sampler"}), "slots.sampler"),
        (config({"prompt": "6.text"}, runtime_type="sdwebui"), "openai.generate is for ComfyUI"),
        (config({"prompt": "6.text"}, workflow={"nodes": []}), "as the editor saves it"),
        (config({"prompt": "6.text"}, workflow={"6": {"inputs": {}}}), "is no node"),
        (config({"prompt": "6.text"}).replace("1024x768", "big"), "openai.size must match"),
        (config({"prompt": "6.text"}).replace('"low"', '"fast"'), "openai.steps.fast"),
        (config({"prompt": "6.text"}).replace('"low": 4', '"low": 0'), "openai.steps.low"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_config(text)
    assert said in str(raised.value)


def test_a_file_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="DARKROOM_OPENAI_FILE"):
        decode_options(b"[]")
