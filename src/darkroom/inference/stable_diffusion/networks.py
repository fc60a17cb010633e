"""Builds Stable Diffusion's networks from a checkpoint's tensors, with no configuration file.

Each network's shape follows from its tensors; what does not is fixed for the family. diffusers renames the tensors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from darkroom.errors import ModelUnusable
from darkroom.inference.stable_diffusion.weights import Family, Tensors

UNET = "model.diffusion_model."
VAE = "first_stage_model."
HEAD_WIDTH = 64

#: Latents are divided by their spread in training: 0.18215 for Stable Diffusion 1 and 2, 0.13025 for XL.
LATENT_SCALE = {Family.SD1: 0.18215, Family.SD2: 0.18215, Family.SDXL: 0.13025, Family.REFINER: 0.13025}


@dataclass(slots=True)
class TextNetwork:
    """A text encoder. `padding` is the token that fills a short prompt up; `projected`: it also gives a pooled vector.

    `skip_last`: the layer before the last is used, without the final norm (XL).
    """

    network: Any
    padding: int
    projected: bool = False
    skip_last: bool = False


@dataclass(slots=True)
class Networks:
    """A checkpoint, ready to run."""

    family: Family
    unet: Any
    vae: Any
    texts: list[TextNetwork]
    prediction: str
    sha256: str

    @property
    def latent_scale(self) -> float:
        """What a latent is multiplied by after encoding."""
        return LATENT_SCALE[self.family]

    @property
    def inpaints(self) -> bool:
        """Whether it was made for inpainting: its UNet sees the mask too."""
        return bool(self.unet.config.in_channels == 9)

    @property
    def is_refiner(self) -> bool:
        """Whether it was made to finish what another began."""
        return self.family is Family.REFINER

    def modules(self) -> list[nn.Module]:
        """Every network."""
        return [self.unet, self.vae, *(text.network for text in self.texts)]


def build(
    tensors: Tensors,
    family: Family,
    name: str,
    sha256: str,
    *,
    number_type: torch.dtype = torch.float32,
    vae_type: torch.dtype = torch.float32,
) -> Networks:
    """Put a checkpoint together on the CPU, in these number types. Raises `ModelUnusable` when a tensor is missing."""
    try:
        unet = _filled(
            UNet2DConditionModel,
            _unet_config(tensors, family),
            name,
            lambda config: convert_ldm_unet_checkpoint(tensors, config),
            number_type,
        )
        texts = _texts(tensors, family, name, number_type)
        networks = Networks(family, unet, build_vae(tensors, name, vae_type), texts, "epsilon", sha256)
    except (KeyError, IndexError, ValueError) as error:
        raise ModelUnusable(f"{name} is not a whole checkpoint of {family}: {error}") from error
    may_differ = family is Family.SD2 and not networks.inpaints
    if "v_pred" in tensors or (may_differ and _predicts_velocity(unet)):
        networks.prediction = "v_prediction"
    return networks


def build_vae(tensors: Tensors, name: str, number_type: torch.dtype = torch.float32) -> Any:
    """The autoencoder of a checkpoint, or of a file that holds nothing else. Raises `ModelUnusable`."""
    prefix = VAE if f"{VAE}encoder.conv_in.weight" in tensors else ""
    if f"{prefix}encoder.conv_in.weight" not in tensors:
        raise ModelUnusable(f"{name} holds no VAE: it has no encoder.conv_in.weight")
    width = tensors[f"{prefix}encoder.conv_in.weight"].shape[0]
    config: dict[str, Any] = {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": tensors[f"{prefix}decoder.conv_in.weight"].shape[1],
        "block_out_channels": (width, 2 * width, 4 * width, 4 * width),
        "layers_per_block": 2,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
    }
    own = {key: value for key, value in tensors.items() if key.startswith(prefix)} if prefix else tensors
    return _filled(AutoencoderKL, config, name, lambda config: convert_ldm_vae_checkpoint(own, config), number_type)


def _unet_config(tensors: Tensors, family: Family) -> dict[str, Any]:
    width = tensors[f"{UNET}input_blocks.0.0.weight"].shape[0]
    attention = next(key for key in tensors if key.startswith(UNET) and key.endswith("attn2.to_k.weight"))
    linear = tensors[f"{UNET}middle_block.1.proj_in.weight"].ndim == 2
    config: dict[str, Any] = {
        "in_channels": tensors[f"{UNET}input_blocks.0.0.weight"].shape[1],
        "out_channels": 4,
        "layers_per_block": 2,
        "cross_attention_dim": tensors[attention].shape[1],
        "use_linear_projection": linear,
    }
    attending, plain = "CrossAttnDownBlock2D", "DownBlock2D"
    if family in (Family.SDXL, Family.REFINER):
        widths: tuple[int, ...] = (width, 2 * width, 4 * width)
        if family is Family.REFINER:
            widths = (*widths, 4 * width)
        depths = [_depth(tensors, f"{UNET}input_blocks.{1 + 3 * level}.1.") for level in range(len(widths))]
        types = [attending if depth else plain for depth in depths]
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": tensors[f"{UNET}label_emb.0.0.weight"].shape[1],
            # diffusers takes the last for the middle of the network; the refiner's last level has none of its own.
            "transformer_layers_per_block": [max(1, depth) for depth in depths]
            if family is Family.SDXL
            else _depth(tensors, f"{UNET}middle_block.1."),
        }
    else:
        widths = (width, 2 * width, 4 * width, 4 * width)
        types = [attending, attending, attending, plain]
    config["block_out_channels"] = widths
    config["down_block_types"] = tuple(types)
    config["up_block_types"] = tuple(kind.replace("Down", "Up") for kind in reversed(types))
    # diffusers' attention_head_dim is, for historical reasons, the number of heads.
    config["attention_head_dim"] = 8 if family is Family.SD1 else tuple(max(1, wide // HEAD_WIDTH) for wide in widths)
    return config


def _depth(tensors: Tensors, prefix: str) -> int:
    """How many transformer blocks lie below a prefix."""
    found = {
        match.group(1)
        for key in tensors
        if (match := re.match(re.escape(prefix) + r"transformer_blocks\.(\d+)\.", key))
    }
    return len(found)


def _texts(tensors: Tensors, family: Family, name: str, kind: torch.dtype) -> list[TextNetwork]:
    if family is Family.SD1:
        return [_clip(tensors, "cond_stage_model.transformer.", name, kind, skip_last=False)]
    if family is Family.SD2:
        # Only the layers up to the last but one are used, so the last is left out.
        return [_open_clip(tensors, "cond_stage_model.model.", name, kind, leave_out=1, projected=False)]
    if family is Family.REFINER:
        return [_open_clip(tensors, "conditioner.embedders.0.model.", name, kind, leave_out=0, projected=True)]
    first = _clip(tensors, "conditioner.embedders.0.transformer.", name, kind, skip_last=True)
    second = _open_clip(tensors, "conditioner.embedders.1.model.", name, kind, leave_out=0, projected=True)
    return [first, second]


def _clip(tensors: Tensors, prefix: str, name: str, kind: torch.dtype, *, skip_last: bool) -> TextNetwork:
    converted = convert_ldm_clip_checkpoint({key: value for key, value in tensors.items() if key.startswith(prefix)})
    # The oldest checkpoints lack a level of names.
    converted = {key.removeprefix("text_model."): value for key, value in converted.items()}
    layers = 1 + max(int(key.split(".")[2]) for key in converted if key.startswith("encoder.layers."))
    config = _clip_config(
        converted["embeddings.token_embedding.weight"],
        converted["encoder.layers.0.mlp.fc1.weight"],
        layers,
        "quick_gelu",
    )
    network = _filled(CLIPTextModel, config, name, lambda _: converted, kind)
    return TextNetwork(network, padding=49407, skip_last=skip_last)


def _open_clip(
    tensors: Tensors, prefix: str, name: str, number_type: torch.dtype, *, leave_out: int, projected: bool
) -> TextNetwork:
    blocks = f"{prefix}transformer.resblocks."
    layers = 1 + max(int(key[len(blocks) :].split(".")[0]) for key in tensors if key.startswith(blocks)) - leave_out
    embedding = tensors[f"{prefix}token_embedding.weight"]
    config = _clip_config(embedding, tensors[f"{blocks}0.mlp.c_fc.weight"], layers, "gelu")
    config["projection_dim"] = embedding.shape[1]
    kind = CLIPTextModelWithProjection if projected else CLIPTextModel

    def converted(_: Any) -> Tensors:
        with torch.device("meta"):
            shape = kind(CLIPTextConfig(**config))
        named: Tensors = convert_open_clip_checkpoint(shape, tensors, prefix)
        dropped = f"text_model.encoder.layers.{layers}."
        return {
            key: value
            for key, value in named.items()
            if not key.startswith(dropped) and (projected or key != "text_projection.weight")
        }

    network = _filled(kind, config, name, converted, number_type)
    return TextNetwork(network, padding=0, projected=projected, skip_last=projected)


def _clip_config(embedding: torch.Tensor, feed: torch.Tensor, layers: int, activation: str) -> dict[str, Any]:
    return {
        "vocab_size": embedding.shape[0],
        "hidden_size": embedding.shape[1],
        "intermediate_size": feed.shape[0],
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, embedding.shape[1] // HEAD_WIDTH),
        "max_position_embeddings": 77,
        "hidden_act": activation,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
    }


def _filled(kind: Any, config: dict[str, Any], name: str, tensors_for: Any, number_type: torch.dtype) -> Any:
    """A network of a kind with exactly these tensors; made without weights first, so none are drawn for nothing."""
    with torch.device("meta"):
        network = (
            kind(CLIPTextConfig(**config)) if kind in (CLIPTextModel, CLIPTextModelWithProjection) else kind(**config)
        )
    wanted = network.state_dict()
    given: Tensors = tensors_for(network.config)
    if not any(key.startswith("text_model.") for key in wanted):
        given = {key.removeprefix("text_model."): value for key, value in given.items()}
    missing = sorted(set(wanted) - set(given))
    if missing:
        raise ModelUnusable(f"{name} lacks {len(missing)} tensors of its {kind.__name__}, {missing[0]} among them")
    for key, place in wanted.items():
        if given[key].shape != place.shape:
            raise ModelUnusable(f"{name}: {key} has the shape {_shape(given[key])}, not {_shape(place)}")
    network.load_state_dict({key: given[key].to(number_type) for key in wanted}, assign=True)
    _restore_buffers(network)
    return network.eval().requires_grad_(False)


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(str(length) for length in tensor.shape) or "of one number"


def _restore_buffers(network: nn.Module) -> None:
    """Buffers that checkpoints leave out, because they are only numbers from 0 up, have to leave the meta device."""
    for module in network.modules():
        for key, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta:
                if key != "position_ids":
                    raise ModelUnusable(f"the network's buffer {key} is not in the checkpoint")
                module.register_buffer(key, torch.arange(buffer.shape[-1])[None], persistent=False)


def _predicts_velocity(unet: Any) -> bool:
    """Stable Diffusion 2 comes in two kinds that no tensor's name tells apart; their answer to a constant does.

    Given almost pure noise, one predicts that noise; the other its velocity, whose mean then lies far lower.
    """
    with torch.inference_mode():
        constant = torch.full((1, 4, 8, 8), 0.5, dtype=unet.dtype)
        words = torch.zeros(1, 2, unet.config.cross_attention_dim, dtype=unet.dtype)
        answer = unet(constant, torch.tensor([999]), encoder_hidden_states=words).sample
    return bool((answer - constant).mean() < -1)
