//! From image files to what the image encoder takes.

mod decode;
mod resize;
mod settings;

use std::path::Path;

use rayon::prelude::*;

pub use decode::RgbImage;
pub(crate) use settings::FILES;

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

/// Size of an image before its centre is cut out, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaled {
    /// Of the shorter side; the longer one keeps the proportion.
    ShorterSide(usize),
    /// Of both sides, whatever the image's proportion.
    Both {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

/// CLIP's preprocessing: the image scaled (bicubic with antialiasing), the centre cut out, values multiplied by
/// `factor` and normalised.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocess {
    /// Side of the square cut out, pixels.
    pub size: usize,
    /// What the image is scaled to before.
    pub scaled: Scaled,
    /// What values of 0 … 255 are multiplied by.
    pub factor: f64,
    /// Subtracted from red, green and blue after that.
    pub mean: [f32; 3],
    /// Then divided by.
    pub sd: [f32; 3],
    /// Where the centre is.
    pub rounding: CropRounding,
}

impl Preprocess {
    /// As OpenAI's CLIP, for images of this side.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            scaled: Scaled::ShorterSide(size),
            factor: 1.0 / 255.0,
            mean: MEAN,
            sd: SD,
            rounding: CropRounding::default(),
        }
    }

    /// As [`Self::new`], with the settings of the directory's `processor_config.json` (its `image_processor`) or else
    /// `preprocessor_config.json`, which mean what they mean to transformers; what stands in neither is as in [`Self::new`].
    ///
    /// # Errors
    /// A file that is not such a configuration, or asks for what is not done here or does not give images of this side:
    /// the error names the setting.
    pub fn open(folder: &Path, size: usize) -> Result<Self> {
        settings::open(folder, size)
    }

    /// The image scaled and cut, 8-bit: `[size, size, 3]`, the values Pillow gives.
    ///
    /// # Errors
    /// A crop of size 0 or larger than the scaled image.
    pub fn crop(&self, image: &RgbImage) -> Result<Vec<u8>> {
        let (width, height, size) = (image.width(), image.height(), self.size);
        let (new_width, new_height) = match self.scaled {
            Scaled::Both { height, width } => (width, height),
            Scaled::ShorterSide(short) => {
                // Truncated: what Python computes for `int(short * b / a)`.
                let long = |b: usize, a: usize| (short as f64 * b as f64 / a as f64) as usize;
                if width <= height {
                    (short, long(height, width))
                } else {
                    (long(width, height), short)
                }
            }
        };
        if size == 0 || size > new_width.min(new_height) {
            return Err(Error::Mismatch {
                what: "preprocessing",
                expected: "crops of at least one pixel and at most the scaled image".into(),
                found: format!("{size} of {new_width} × {new_height}"),
            });
        }
        let window = Window {
            width: new_width,
            height: new_height,
            left: self.margin(new_width),
            top: self.margin(new_height),
            size,
        };
        Ok(resize::resize(image, &window))
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
    /// As [`Self::crop`].
    pub fn pixels(&self, images: &[RgbImage]) -> Result<Pixels> {
        let plane = self.size * self.size;
        let mut values = vec![0.0; images.len() * 3 * plane];
        images
            .par_iter()
            .zip(values.par_chunks_mut((3 * plane).max(1)))
            .try_for_each(|(image, out)| -> Result<()> {
                self.normalise(&self.crop(image)?, out);
                Ok(())
            })?;
        Pixels::new(self.size, values)
    }

    /// `[size, size, 3]` → `[3, size, size]`.
    fn normalise(&self, crop: &[u8], out: &mut [f32]) {
        let plane = self.size * self.size;
        for (colour, out) in out.chunks_exact_mut(plane).enumerate() {
            let (mean, sd) = (self.mean[colour], self.sd[colour]);
            // Only 256 results are possible.
            let table: [f32; 256] =
                std::array::from_fn(|value| ((value as f64 * self.factor) as f32 - mean) / sd);
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
        assert!(Preprocess::new(0).crop(&image).is_err());
        assert_eq!(Preprocess::new(1).crop(&image).unwrap(), [7, 7, 7]);
        assert_eq!(Preprocess::new(5).crop(&image).unwrap(), [7; 75]);
        let larger = Preprocess {
            size: 6,
            ..Preprocess::new(5)
        };
        assert!(larger.crop(&image).is_err());
        assert!(RgbImage::new(0, 3, vec![]).is_err());
    }
}
