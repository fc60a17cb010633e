"""Stable Diffusion 1.5 and XL with random weights, at full size or tiny, and the plain diffusers pipeline over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from darkroom.inference.stable_diffusion.networks import Networks, TextNetwork
from darkroom.inference.stable_diffusion.weights import Family

#: Stable Diffusion's noise, as its training had it.
NOISE = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def make_networks(
    family: Family, number_type: torch.dtype, vae_type: torch.dtype, *, full: bool, device: torch.device
) -> Networks:
    """Networks with random weights, in these number types."""
    torch.manual_seed(0)
    extra_large = family is Family.SDXL
    width, first, second = (320, 768, 1280) if full else (32, 64, 64)
    with torch.device(device):
        if extra_large:
            unet = UNet2DConditionModel(
                block_out_channels=(width, 2 * width, 4 * width),
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                transformer_layers_per_block=[1, 2, 10 if full else 2],
                attention_head_dim=[5, 10, 20] if full else [1, 1, 2],
                cross_attention_dim=first + second,
                use_linear_projection=True,
                addition_embed_type="text_time",
                addition_time_embed_dim=256,
                projection_class_embeddings_input_dim=second + 6 * 256,
            )
        else:
            unet = UNet2DConditionModel(
                block_out_channels=(width, 2 * width, 4 * width, 4 * width),
                cross_attention_dim=first,
                attention_head_dim=8,
            )
        wide = 128 if full else 32
        vae = AutoencoderKL(
            block_out_channels=(wide, 2 * wide, 4 * wide, 4 * wide),
            layers_per_block=2,
            latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        )
        texts = [TextNetwork(CLIPTextModel(_clip(first, 12 if full else 2)), 49407, skip_last=extra_large)]
        if extra_large:
            network = CLIPTextModelWithProjection(_clip(second, 32 if full else 2))
            texts.append(TextNetwork(network, 0, projected=True, skip_last=True))
    networks = Networks(family, unet, vae, texts, "epsilon", "0" * 64)
    for module in networks.modules():
        module.eval().requires_grad_(False).to(dtype=vae_type if module is vae else number_type)
    return networks


def plain_pipeline(networks: Networks) -> Callable[[int, int, int], Any]:
    """The pipeline of diffusers as it comes, given prompts that are encoded already. Takes batch, steps and side."""
    extra_large = networks.family is Family.SDXL
    common = {
        "vae": networks.vae,
        "unet": networks.unet,
        "tokenizer": None,
        "scheduler": EulerAncestralDiscreteScheduler(**NOISE),
        "text_encoder": networks.texts[0].network,
    }
    pipeline: Any
    if extra_large:
        pipeline = StableDiffusionXLPipeline(
            **common, text_encoder_2=networks.texts[1].network, tokenizer_2=None, force_zeros_for_empty_prompt=False
        )
    else:
        pipeline = StableDiffusionPipeline(
            **common, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    pipeline.set_progress_bar_config(disable=True)
    weight = networks.unet.conv_in.weight
    words = torch.randn(1, 77, networks.unet.config.cross_attention_dim, device=weight.device, dtype=weight.dtype)

    def run(batch: int, steps: int, side: int) -> Any:
        given: dict[str, Any] = {
            "prompt_embeds": words.repeat(batch, 1, 1),
            "negative_prompt_embeds": words.repeat(batch, 1, 1),
        }
        if extra_large:
            pooled = words.new_zeros(batch, networks.texts[1].network.config.projection_dim)
            given |= {"pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": pooled}
        return pipeline(**given, num_inference_steps=steps, guidance_scale=7.0, width=side, height=side)

    return run


def _clip(width: int, layers: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        projection_dim=width,
        eos_token_id=49407,
        bos_token_id=49406,
    )
