//! From image files to what the image encoder takes.

mod decode;
mod resize;

use std::fs;
use std::path::Path;

use rayon::prelude::*;
use serde::Deserialize;

pub use decode::RgbImage;

use crate::image_encoder::Pixels;
use crate::{Error, Result};
use resize::Window;

/// Means of red, green and blue over CLIP's training images (published code).
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Their standard deviations.
const SD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// How half a pixel is rounded where an odd number of rows or columns is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CropRounding {
    /// Half to even, as torchvision's `CenterCrop`, which OpenAI's CLIP uses.
    #[default]
    HalfToEven,
    /// Down, as the image processors of transformers.
    Down,
}

/// CLIP's preprocessing: the shorter side scaled to `size` (bicubic with antialiasing), the centre cut out, values
/// divided by 255 and normalised.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocess {
    /// Side of the square cut out, pixels.
    pub size: usize,
    /// Subtracted from red, green and blue in 0 … 1.
    pub mean: [f32; 3],
    /// Then divided by.
    pub sd: [f32; 3],
    /// Where the centre is.
    pub rounding: CropRounding,
}

#[derive(Deserialize)]
struct File {
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
    resample: Option<u32>,
}

impl Preprocess {
    /// As OpenAI's CLIP, for images of this side.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            mean: MEAN,
            sd: SD,
            rounding: CropRounding::default(),
        }
    }

    /// As [`Self::new`], with the mean and standard deviation of `preprocessor_config.json` where the directory has one.
    ///
    /// # Errors
    /// A file that is not such a configuration, or asks for something other than bicubic interpolation.
    pub fn open(folder: &Path, size: usize) -> Result<Self> {
        let path = folder.join("preprocessor_config.json");
        if !path.is_file() {
            return Ok(Self::new(size));
        }
        let bytes = fs::read(&path).map_err(Error::io(&path))?;
        let file: File = serde_json::from_slice(&bytes)
            .map_err(|error| Error::malformed(&path, "an image preprocessor", error.to_string()))?;
        // Pillow's number of its bicubic filter.
        if let Some(other) = file.resample.filter(|filter| *filter != 3) {
            return Err(Error::unsupported(&path, format!("resample {other}")));
        }
        let sd = file.image_std.unwrap_or(SD);
        if sd.iter().any(|sd| sd.is_nan() || *sd <= 0.0) {
            let found = format!("{sd:?}");
            return Err(Error::malformed(&path, "image_std above 0", found));
        }
        Ok(Self {
            mean: file.image_mean.unwrap_or(MEAN),
            sd,
            ..Self::new(size)
        })
    }

    /// The image scaled and cut, 8-bit: `[size, size, 3]`, the values Pillow gives.
    pub fn crop(&self, image: &RgbImage) -> Vec<u8> {
        let (width, height, size) = (image.width(), image.height(), self.size);
        if size == 0 {
            return vec![];
        }
        // In f64, truncated: what Python computes for `int(size * long / short)`.
        let long = |long: usize, short: usize| ((size * long) as f64 / short as f64) as usize;
        let (new_width, new_height) = if width <= height {
            (size, long(height, width))
        } else {
            (long(width, height), size)
        };
        let window = Window {
            width: new_width,
            height: new_height,
            left: self.margin(new_width),
            top: self.margin(new_height),
            size,
        };
        resize::resize(image, &window)
    }

    /// Rows or columns before the centre.
    fn margin(&self, length: usize) -> usize {
        let excess = length - self.size;
        let down = excess / 2;
        match self.rounding {
            // Half to even: up from an odd number.
            CropRounding::HalfToEven if excess % 2 == 1 => down + down % 2,
            CropRounding::HalfToEven | CropRounding::Down => down,
        }
    }

    /// Normalised values of images, in parallel: what [`ImageEncoder`](crate::ImageEncoder) takes.
    ///
    /// # Errors
    /// A crop of size 0.
    pub fn pixels(&self, images: &[RgbImage]) -> Result<Pixels> {
        if self.size == 0 {
            return Err(Error::Mismatch {
                what: "preprocessing",
                expected: "crops of at least one pixel".into(),
                found: "0".into(),
            });
        }
        let plane = self.size * self.size;
        let mut values = vec![0.0; images.len() * 3 * plane];
        images
            .par_iter()
            .zip(values.par_chunks_mut(3 * plane))
            .for_each(|(image, out)| self.normalise(&self.crop(image), out));
        Pixels::new(self.size, values)
    }

    /// `[size, size, 3]` → `[3, size, size]`.
    fn normalise(&self, crop: &[u8], out: &mut [f32]) {
        let plane = self.size * self.size;
        for (colour, out) in out.chunks_exact_mut(plane).enumerate() {
            let (mean, sd) = (self.mean[colour], self.sd[colour]);
            // Only 256 results are possible.
            let table: [f32; 256] = std::array::from_fn(|value| (value as f32 / 255.0 - mean) / sd);
            for (out, pixel) in out.iter_mut().zip(crop.as_chunks::<3>().0) {
                *out = table[usize::from(pixel[colour])];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_pixels_round_to_even_as_in_torchvision() {
        let preprocess = Preprocess::new(4);
        let margins: Vec<usize> = (4..13).map(|length| preprocess.margin(length)).collect();
        // Python: [round(n / 2) for n in range(9)]
        assert_eq!(margins, [0, 0, 1, 2, 2, 2, 3, 4, 4]);
        let down = Preprocess {
            rounding: CropRounding::Down,
            ..preprocess
        };
        assert_eq!([5, 7, 9].map(|length| down.margin(length)), [0, 1, 2]);
    }

    #[test]
    fn no_size_makes_a_panic() {
        let image = RgbImage::new(1, 3, vec![7; 9]).unwrap();
        assert!(
            Preprocess::new(0)
                .pixels(std::slice::from_ref(&image))
                .is_err()
        );
        assert_eq!(Preprocess::new(1).crop(&image), [7, 7, 7]);
        assert_eq!(Preprocess::new(5).crop(&image), [7; 75]);
        assert!(RgbImage::new(0, 3, vec![]).is_err());
    }
}
