use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jpeg_encoder::{ColorType, Encoder};
use mused_data::Stimulus;

/// Largest side of a picture on the page.
const SIDE: usize = 160;
const QUALITY: u8 = 80;

/// A picture: three bytes a pixel, row by row.
#[derive(Clone, Debug)]
pub struct Pixels {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green, blue.
    pub rgb: Vec<u8>,
}

/// Where pictures of stimuli come from.
pub trait Images {
    /// The picture of a stimulus, its first one where it has several.
    ///
    /// # Errors
    /// Why there is none, in words.
    fn read(&mut self, stimulus: &Stimulus) -> Result<Pixels, String>;
}

/// No pictures at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoImages;

impl Images for NoImages {
    fn read(&mut self, stimulus: &Stimulus) -> Result<Pixels, String> {
        Err(format!("no picture of {} can be read here", stimulus.id))
    }
}

/// A small JPEG as a `data:` URL, with its width and height; `None` of pixels that are none.
pub(crate) fn thumbnail(pixels: &Pixels) -> Option<(String, usize, usize)> {
    let (width, height) = (pixels.width, pixels.height);
    if width == 0 || height == 0 || pixels.rgb.len() != width * height * 3 {
        return None;
    }
    let factor = (width.max(height) as f64 / SIDE as f64).max(1.0);
    let size = |side: usize| ((side as f64 / factor).round() as usize).max(1);
    let (small_width, small_height) = (size(width), size(height));
    let mut rgb = Vec::with_capacity(small_width * small_height * 3);
    for row in 0..small_height {
        let rows = span(row, small_height, height);
        for column in 0..small_width {
            let mut sums = [0usize; 3];
            let columns = span(column, small_width, width);
            for y in rows.clone() {
                for x in columns.clone() {
                    let at = (y * width + x) * 3;
                    for (sum, value) in sums.iter_mut().zip(&pixels.rgb[at..at + 3]) {
                        *sum += usize::from(*value);
                    }
                }
            }
            let count = rows.len() * columns.len();
            rgb.extend(sums.map(|sum| ((sum + count / 2) / count) as u8));
        }
    }
    let mut bytes = Vec::new();
    let encoder = Encoder::new(&mut bytes, QUALITY);
    encoder
        .encode(
            &rgb,
            small_width as u16,
            small_height as u16,
            ColorType::Rgb,
        )
        .ok()?;
    let url = format!("data:image/jpeg;base64,{}", STANDARD.encode(&bytes));
    Some((url, small_width, small_height))
}

/// The pixels of a long side that make a pixel of a short one.
fn span(place: usize, small: usize, large: usize) -> std::ops::Range<usize> {
    let start = place * large / small;
    start..((place + 1) * large / small).max(start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_become_small() {
        let pixels = Pixels {
            width: 400,
            height: 200,
            rgb: vec![128; 400 * 200 * 3],
        };
        let (url, width, height) = thumbnail(&pixels).unwrap();
        assert_eq!((width, height), (160, 80));
        assert!(url.starts_with("data:image/jpeg;base64,/9j/"));
        let broken = Pixels { width: 9, ..pixels };
        assert!(thumbnail(&broken).is_none());
    }
}
