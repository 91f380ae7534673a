//! The settings of an image processor in a model directory, in the sense of transformers.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{MEAN, Preprocess, SD, Scaled};
use crate::{Error, Result};

/// Files that settings may be in; newer versions of transformers write the first, in which they are one part of several.
pub(crate) const FILES: [&str; 2] = ["processor_config.json", "preprocessor_config.json"];

/// That part.
const PART: &str = "image_processor";

/// Largest side accepted, pixels.
const LARGEST: u64 = 1 << 14;

/// Pillow's number of its bicubic filter.
const BICUBIC: u64 = 3;

pub(super) fn open(folder: &Path, side: usize) -> Result<Preprocess> {
    let [processor, preprocessor] = FILES.map(|name| folder.join(name));
    let mut settings = None;
    if processor.is_file() {
        settings = Settings::read(processor)?.part(PART)?;
    }
    if settings.is_none() && preprocessor.is_file() {
        settings = Some(Settings::read(preprocessor)?);
    }
    settings.map_or_else(
        || Ok(Preprocess::new(side)),
        |settings| settings.preprocess(side),
    )
}

struct Settings {
    path: PathBuf,
    values: Map<String, Value>,
}

impl Settings {
    fn read(path: PathBuf) -> Result<Self> {
        let bytes = mused_formats::read(&path)?;
        let values = serde_json::from_slice(&bytes).map_err(|error| {
            Error::malformed(&path, "an image preprocessor", mused_formats::plain(error))
        })?;
        Ok(Self { path, values })
    }

    fn part(mut self, key: &str) -> Result<Option<Self>> {
        match self.values.remove(key) {
            None => Ok(None),
            Some(Value::Object(values)) => Ok(Some(Self { values, ..self })),
            Some(other) => Err(Error::malformed(
                &self.path,
                format!("settings in `{key}`"),
                other.to_string(),
            )),
        }
    }

    /// Settings for images that leave as squares of this side.
    fn preprocess(&self, side: usize) -> Result<Preprocess> {
        self.check_kind()?;
        for key in ["do_pad", "use_square_size"] {
            if self.is_on(key, false)? {
                return Err(self.unsupported(key));
            }
        }
        let factor = if self.is_on("do_rescale", true)? {
            self.factor()?
        } else {
            1.0
        };
        let (mean, sd) = if self.is_on("do_normalize", true)? {
            self.normalisation()?
        } else {
            ([0.0; 3], [1.0; 3])
        };
        Ok(Preprocess {
            scaled: self.scaled(side)?,
            factor,
            mean,
            sd,
            ..Preprocess::new(side)
        })
    }

    /// Other processors do other things by default.
    fn check_kind(&self) -> Result<()> {
        for key in ["image_processor_type", "feature_extractor_type"] {
            let known = |kind: &str| {
                kind.starts_with("CLIPImageProcessor") || kind == "CLIPFeatureExtractor"
            };
            match self.values.get(key) {
                None | Some(Value::Null) => {}
                Some(Value::String(kind)) if known(kind) => {}
                Some(_) => return Err(self.unsupported(key)),
            }
        }
        Ok(())
    }

    fn scaled(&self, side: usize) -> Result<Scaled> {
        if !self.is_on("do_resize", true)? {
            return Err(self.unsupported("do_resize"));
        }
        let filter = self.values.get("resample");
        if filter.is_some_and(|filter| filter.as_u64() != Some(BICUBIC)) {
            return Err(self.unsupported("resample"));
        }
        let square = |side| Scaled::Both {
            height: side,
            width: side,
        };
        let whole = square(side);
        let scaled = self.size("size", Scaled::ShorterSide)?;
        let scaled = scaled.unwrap_or(Scaled::ShorterSide(side));
        if self.is_on("do_center_crop", true)? {
            if self.size("crop_size", square)?.unwrap_or(whole) != whole {
                let expected = format!("the {side} × {side} pixels of config.json's image_size");
                return Err(self.wrong("crop_size", &expected));
            }
            let least = match scaled {
                Scaled::ShorterSide(short) => short,
                Scaled::Both { height, width } => height.min(width),
            };
            if least < side {
                return Err(
                    self.wrong("size", &format!("at least the {side} pixels cut out of it"))
                );
            }
        } else if scaled != whole {
            let expected = format!("{side} × {side} where do_center_crop is off");
            let found = format!("do_center_crop false and size {}", self.found("size"));
            return Err(Error::malformed(
                &self.path,
                format!("`size` of {expected}"),
                found,
            ));
        }
        Ok(scaled)
    }

    /// A number, a list of height and width, or either with names; `None` where the key is absent.
    fn size(&self, key: &str, one: impl Fn(usize) -> Scaled) -> Result<Option<Scaled>> {
        let Some(value) = self.values.get(key) else {
            return Ok(None);
        };
        let pixels = |value: &Value| {
            let pixels = value.as_u64().filter(|size| (1..=LARGEST).contains(size));
            pixels.map(|size| size as usize)
        };
        let both = |height: &Value, width: &Value| {
            Some(Scaled::Both {
                height: pixels(height)?,
                width: pixels(width)?,
            })
        };
        let found = match value {
            Value::Array(sides) => match &sides[..] {
                [height, width] => both(height, width),
                _ => None,
            },
            Value::Object(sides) => {
                let mut named = sides.iter().filter(|(_, value)| !value.is_null());
                let named = [named.next(), named.next(), named.next()];
                match named.map(|side| side.map(|(key, value)| (key.as_str(), value))) {
                    [Some(("shortest_edge", short)), None, None] => {
                        pixels(short).map(Scaled::ShorterSide)
                    }
                    [Some(("height", height)), Some(("width", width)), None]
                    | [Some(("width", width)), Some(("height", height)), None] => {
                        both(height, width)
                    }
                    _ => None,
                }
            }
            number => pixels(number).map(one),
        };
        let expected = format!(
            "a number of pixels up to {LARGEST}, {{\"shortest_edge\"}} or {{\"height\", \"width\"}}"
        );
        found.map(Some).ok_or_else(|| self.wrong(key, &expected))
    }

    fn factor(&self) -> Result<f64> {
        let key = "rescale_factor";
        let Some(value) = self.values.get(key) else {
            return Ok(1.0 / 255.0);
        };
        let factor = value.as_f64().filter(|factor| *factor > 0.0);
        factor.ok_or_else(|| self.wrong(key, "a number above 0"))
    }

    /// Mean and standard deviation.
    fn normalisation(&self) -> Result<([f32; 3], [f32; 3])> {
        let sd = self.colours("image_std", SD)?;
        if sd.iter().any(|sd| *sd <= 0.0) {
            return Err(self.wrong("image_std", "numbers above 0"));
        }
        Ok((self.colours("image_mean", MEAN)?, sd))
    }

    /// A number of each colour, or one of all.
    fn colours(&self, key: &str, default: [f32; 3]) -> Result<[f32; 3]> {
        let Some(value) = self.values.get(key) else {
            return Ok(default);
        };
        let number = |value: &Value| value.as_f64().map(|number| number as f32);
        let colours = match value {
            Value::Array(values) => match &values[..] {
                [r, g, b] => [r, g, b].map(number),
                _ => [None; 3],
            },
            one => [number(one); 3],
        };
        match colours {
            [Some(r), Some(g), Some(b)] if [r, g, b].iter().all(|v| v.is_finite()) => Ok([r, g, b]),
            _ => Err(self.wrong(key, "a number of each of three colours, or one number")),
        }
    }

    /// `null` is off, as in Python.
    fn is_on(&self, key: &str, default: bool) -> Result<bool> {
        match self.values.get(key) {
            None => Ok(default),
            Some(Value::Null) => Ok(false),
            Some(Value::Bool(on)) => Ok(*on),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    fn found(&self, key: &str) -> String {
        self.values
            .get(key)
            .map_or_else(|| "absent".to_owned(), Value::to_string)
    }

    fn wrong(&self, key: &str, expected: &str) -> Error {
        let expected = format!("`{key}` of {expected}");
        Error::malformed(&self.path, expected, self.found(key))
    }

    fn unsupported(&self, key: &str) -> Error {
        Error::unsupported(&self.path, format!("{key} {}", self.found(key)))
    }
}
