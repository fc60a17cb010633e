"""SD Web UI 1.10's options that this runtime does not have: those that would change pictures, and those that do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: They change pictures, and are not done here: each can be named with the value that means nothing, no other.
NEUTRAL: Mapping[str, Any] = {
    "webp_lossless": False,
    "face_restoration": False,
    "tiling": False,
    "upcast_attn": False,
    "sd_unet": "Automatic",
    "sd_hypernetwork": "None",
    "sd_lora": "None",
    "emphasis": "Original",
    "enable_batch_seeds": True,
    "sdxl_crop_top": 0,
    "sdxl_crop_left": 0,
    "sdxl_clip_l_skip": False,
    "hires_fix_refiner_pass": "second pass",
    "sd_vae_encode_method": "Full",
    "sd_vae_decode_method": "Full",
    "inpainting_mask_weight": 1.0,
    "initial_noise_multiplier": 1.0,
    "img2img_extra_noise": 0.0,
    "img2img_color_correction": False,
    "img2img_fix_steps": False,
    "return_mask": False,
    "return_mask_composite": False,
    "overlay_inpaint": True,
    "s_min_uncond": 0.0,
    "s_min_uncond_all": False,
    "token_merging_ratio": 0.0,
    "token_merging_ratio_img2img": 0.0,
    "token_merging_ratio_hr": 0.0,
    "use_old_emphasis_implementation": False,
    "use_old_karras_scheduler_sigmas": False,
    "use_old_hires_fix_width_height": False,
    "use_old_scheduling": False,
    "use_downcasted_alpha_bar": False,
    "hires_fix_use_firstpass_conds": False,
    "refiner_switch_by_sample_steps": False,
    "eta_ddim": 0.0,
    "eta_ancestral": 1.0,
    "ddim_discretize": "uniform",
    "s_churn": 0.0,
    "s_tmin": 0.0,
    "s_tmax": 0.0,
    "s_noise": 1.0,
    "sigma_min": 0.0,
    "sigma_max": 0.0,
    "rho": 0.0,
    "always_discard_next_to_last_sigma": False,
    "sgm_noise_multiplier": False,
    "sd_noise_schedule": "Default",
    "skip_early_cond": 0.0,
    "extra_networks_default_multiplier": 1.0,
}

_INDIFFERENT = """
add_model_hash_to_info add_model_name_to_info add_user_name_to_info add_vae_hash_to_info add_vae_name_to_info
add_version_to_infotext api_enable_requests api_forbid_local_requests api_useragent auto_backcompat
auto_launch_browser auto_vae_precision auto_vae_precision_bfloat16 batch_cond_uncond cache_fp16_weight
clean_temp_dir_at_start comma_padding_backtrack compact_prompt_box cross_attention_optimization
dimensions_and_batch_together directories_filename_pattern directories_max_prompt_words disable_all_extensions
disable_token_counters disable_weights_auto_swap disabled_extensions do_not_show_images dump_stacks_on_signal
enable_console_prompts enable_prompt_comments enable_quantization enable_reloading_ui_scripts
enable_upscale_progressbar export_for_4chan face_restoration_model face_restoration_unload code_former_weight font
fp8_storage gallery_height gradio_theme gradio_themes_cache hidden_tabs hide_ldm_prints hide_samplers
img_downscale_threshold img_max_size_mp include_styles_into_token_counters interrupt_after_current list_hidden_files
localization memmon_poll_rate multiple_tqdm n_rows no_dpmpp_sde_batch_determinism open_dir_button_choice
pad_cond_uncond pad_cond_uncond_v0 persistent_cond_cache pin_memory print_hypernet_extra quicksettings_list
randn_source restore_config_state_file samplers_in_dropdown sd_checkpoint_dropdown_use_short
sd_checkpoints_keep_in_cpu sd_vae_checkpoint_cache sd_vae_overrides_per_model_preferences send_seed send_size
show_gradio_deprecation_warnings show_progress_grid show_progress_in_title show_progress_type show_progressbar
show_warnings target_side_length temp_dir txt2img_settings_accordion img2img_settings_accordion
prevent_screen_sleep_during_generation ui_extra_networks_tab_reorder ui_reorder_list ui_tab_order
unload_models_when_training upscaler_for_img2img upscaling_max_images_in_cache use_original_name_batch
use_save_to_dirs_for_ui use_upscaler_name_as_suffix hires_fix_show_prompts hires_fix_show_sampler
img2img_batch_show_results_limit img2img_editor_height img2img_inpaint_mask_brush_color
img2img_inpaint_sketch_default_brush_color img2img_sketch_default_brush_color set_scale_by_when_changing_upscaler
"""
#: They are about saving, SD Web UI's page, its memory and its logs: whatever they are, pictures are the same.
INDIFFERENT = frozenset(_INDIFFERENT.split())
INDIFFERENT_FAMILIES = (
    "ESRGAN_tile", "DAT_tile", "SCUNET_tile", "SWIN_t", "realesrgan_enabled_", "dat_enabled_", "outdir_", "save_",
    "samples_", "grid_", "training_", "dataset_", "interrogate_", "deepbooru_", "extra_networks_card_",
    "extra_networks_tree_", "extra_networks_add_", "extra_networks_dir_", "extra_networks_hidden_",
    "extra_networks_show_", "textual_inversion_", "keyedit_", "js_", "sd_webui_", "infotext_", "live_preview",
    "postprocessing_", "lora_", "canvas_", "extra_options_", "notification_", "profiling_",
)  # fmt: skip
