//! `config.json` of a CLIP model in Hugging Face layout.

use std::path::Path;

use mused_formats::plain;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Largest accepted size of anything: far above any published model, far below what exhausts memory by itself.
const LARGEST: usize = 1 << 20;

/// Activation of the MLPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x · sigmoid(1.702 x)`: OpenAI's models.
    QuickGelu,
    /// `x Φ(x)`: most OpenCLIP models.
    Gelu,
}

/// The image encoder: a Vision Transformer (Dosovitskiy et al. 2021).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// Width of a token.
    pub hidden_size: usize,
    /// Width inside an MLP.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Colours; 3.
    pub num_channels: usize,
    /// Side of the square input, pixels.
    pub image_size: usize,
    /// Side of a patch, pixels.
    pub patch_size: usize,
    /// Activation of the MLPs.
    pub hidden_act: Activation,
    /// Added to variances.
    pub layer_norm_eps: f64,
}

impl Default for ImageConfig {
    /// ViT-B/32, what transformers assumes of absent keys.
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }
}

impl ImageConfig {
    /// Patches along one side.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Tokens of one image: the class token and its patches.
    pub fn tokens(&self) -> usize {
        self.grid() * self.grid() + 1
    }
}

/// The text encoder: a causal Transformer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct TextConfig {
    /// Tokens known.
    pub vocab_size: usize,
    /// Width of a token.
    pub hidden_size: usize,
    /// Width inside an MLP.
    pub intermediate_size: usize,
    /// Blocks.
    pub num_hidden_layers: usize,
    /// Attention heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Tokens of a text, padding included.
    pub max_position_embeddings: usize,
    /// Activation of the MLPs.
    pub hidden_act: Activation,
    /// Added to variances.
    pub layer_norm_eps: f64,
    /// The token whose state is read. 2 stands in early published configurations, whose vocabulary ends texts with
    /// another: the token of the highest number is read then, as transformers does.
    pub eos_token_id: usize,
}

impl Default for TextConfig {
    /// Of ViT-B/32, what transformers assumes of absent keys.
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
            eos_token_id: 49407,
        }
    }
}

/// Sizes of both encoders.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipConfig {
    /// Width of the space both encoders project into.
    pub projection_dim: usize,
    /// The image encoder.
    pub image: ImageConfig,
    /// The text encoder.
    pub text: TextConfig,
}

#[derive(Deserialize)]
struct File {
    model_type: Option<String>,
    #[serde(default = "default_projection")]
    projection_dim: usize,
    text_config: Option<Map<String, Value>>,
    text_config_dict: Option<Map<String, Value>>,
    vision_config: Option<Map<String, Value>>,
    vision_config_dict: Option<Map<String, Value>>,
}

fn default_projection() -> usize {
    512
}

impl ClipConfig {
    /// Reads `config.json`; absent keys mean what transformers takes them to mean.
    ///
    /// # Errors
    /// A file that cannot be read or is not JSON; a model other than CLIP; sizes that no model has or that do not fit
    /// together.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = mused_formats::read(path)?;
        Self::parse(&bytes)
            .map_err(|found| Error::malformed(path, "the configuration of a CLIP model", found))
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let file: File = serde_json::from_slice(bytes).map_err(plain)?;
        match file.model_type.as_deref() {
            None | Some("clip") => {}
            Some(other) => return Err(format!("model_type `{other}`")),
        }
        // Early configurations hold a part twice; transformers lets the second one win.
        let part = |main: Option<Map<_, _>>, second: Option<Map<_, _>>| {
            let mut all = main.unwrap_or_default();
            all.extend(second.unwrap_or_default());
            all.retain(|_, value| !value.is_null());
            Value::Object(all)
        };
        let image = serde_json::from_value(part(file.vision_config, file.vision_config_dict))
            .map_err(|error| format!("vision_config: {}", plain(error)))?;
        let text = serde_json::from_value(part(file.text_config, file.text_config_dict))
            .map_err(|error| format!("text_config: {}", plain(error)))?;
        let config = Self {
            projection_dim: file.projection_dim,
            image,
            text,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let (image, text) = (&self.image, &self.text);
        let sizes = [
            ("projection_dim", self.projection_dim),
            ("vision_config.hidden_size", image.hidden_size),
            ("vision_config.intermediate_size", image.intermediate_size),
            (
                "vision_config.num_attention_heads",
                image.num_attention_heads,
            ),
            ("vision_config.image_size", image.image_size),
            ("vision_config.patch_size", image.patch_size),
            ("text_config.vocab_size", text.vocab_size),
            ("text_config.hidden_size", text.hidden_size),
            ("text_config.intermediate_size", text.intermediate_size),
            ("text_config.num_attention_heads", text.num_attention_heads),
            (
                "text_config.max_position_embeddings",
                text.max_position_embeddings,
            ),
        ];
        for (name, size) in sizes {
            if size == 0 || size > LARGEST {
                return Err(format!("{name} {size}"));
            }
        }
        let parts = [
            (
                "vision_config",
                image.hidden_size,
                image.num_attention_heads,
                image.num_hidden_layers,
                image.layer_norm_eps,
            ),
            (
                "text_config",
                text.hidden_size,
                text.num_attention_heads,
                text.num_hidden_layers,
                text.layer_norm_eps,
            ),
        ];
        for (name, hidden, heads, layers, epsilon) in parts {
            if !hidden.is_multiple_of(heads) {
                return Err(format!(
                    "{name}: hidden_size {hidden}, no multiple of {heads} heads"
                ));
            }
            if layers > 4096 {
                return Err(format!("{name}: {layers} layers"));
            }
            if !(epsilon.is_finite() && epsilon > 0.0) {
                return Err(format!("{name}: layer_norm_eps {epsilon}"));
            }
        }
        if image.num_channels != 3 {
            return Err(format!("vision_config: {} channels", image.num_channels));
        }
        if image.patch_size > image.image_size || image.image_size > 1 << 14 {
            return Err(format!(
                "vision_config: image_size {}, patch_size {}",
                image.image_size, image.patch_size
            ));
        }
        if text.max_position_embeddings < 2 {
            return Err("text_config: texts without room for their first and last token".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_keys_have_defaults_and_the_second_part_wins() {
        let config = ClipConfig::parse(
            br#"{"projection_dim": 768, "text_config": {"hidden_size": 512, "eos_token_id": 2},
                "text_config_dict": {"hidden_size": 768, "num_attention_heads": 12, "dropout": null},
                "vision_config": {"patch_size": 14, "hidden_act": "gelu"}, "vision_config_dict": null}"#,
        )
        .unwrap();
        assert_eq!(config.projection_dim, 768);
        assert_eq!(config.text.hidden_size, 768);
        assert_eq!(config.text.eos_token_id, 2);
        assert_eq!(config.image.hidden_act, Activation::Gelu);
        assert_eq!(config.image.tokens(), 257);
    }

    #[test]
    fn impossible_configurations_are_refused() {
        for (json, part) in [
            ("[]", "invalid length"),
            (r#"{"model_type": "bert"}"#, "bert"),
            (r#"{"projection_dim": 0}"#, "projection_dim 0"),
            (r#"{"projection_dim": 99999999}"#, "99999999"),
            (
                r#"{"vision_config": {"num_attention_heads": 7}}"#,
                "7 heads",
            ),
            (
                r#"{"vision_config": {"hidden_act": "relu"}}"#,
                "vision_config: unknown variant `relu`",
            ),
            (
                r#"{"vision_config": {"patch_size": 225}}"#,
                "patch_size 225",
            ),
            (r#"{"vision_config": {"num_channels": 4}}"#, "4 channels"),
            (
                r#"{"text_config": {"num_hidden_layers": 1e3}}"#,
                "text_config",
            ),
            (
                r#"{"text_config": {"layer_norm_eps": -1}}"#,
                "layer_norm_eps",
            ),
        ] {
            let message = ClipConfig::parse(json.as_bytes()).unwrap_err();
            assert!(message.contains(part), "{json}: {message}");
        }
    }
}
