//! PNG and JPEG files as 8-bit RGB, as Pillow's `Image.open(path).convert("RGB")` gives them.

use std::fmt::Display;
use std::io::Cursor;
use std::path::Path;

use mused_formats::Budget;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::{Error, Result};

/// Most pixels accepted, as many as Pillow takes without a warning and a half.
const MOST_PIXELS: usize = 1 << 27;

/// Bytes that a pixel takes at most while a PNG is decoded: with transparency, then without.
const PNG_BYTES: u64 = 8;

/// The same of a JPEG whose coefficients come in several passes: those of three colours, then the colours, beside those
/// of before.
const JPEG_BYTES: u64 = 15;

/// An image of 8-bit red, green and blue, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: Vec<u8>,
}

impl RgbImage {
    /// `values` are `height` rows of `width` pixels of red, green and blue.
    ///
    /// # Errors
    /// An image without pixels; another number of values.
    pub fn new(width: usize, height: usize, values: Vec<u8>) -> Result<Self> {
        let expected = width.checked_mul(height).and_then(|n| n.checked_mul(3));
        if expected != Some(values.len()) || values.is_empty() {
            return Err(Error::Mismatch {
                what: "values of an image",
                expected: format!("{width} · {height} · 3, at least one pixel"),
                found: format!("{}", values.len()),
            });
        }
        Ok(Self {
            width,
            height,
            values,
        })
    }

    /// Pixels of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The values, `[height, width, 3]`.
    pub fn values(&self) -> &[u8] {
        &self.values
    }

    /// Reads a PNG or JPEG file, whatever its name ends in.
    ///
    /// Grayscale is repeated in three colours, palettes are looked up, transparency is dropped, of 16-bit colours the
    /// upper byte is kept. Orientation tags and colour profiles are ignored, as Pillow ignores them. PNG gives
    /// Pillow's values; JPEG, decoded by `zune-jpeg`, gives nearly those.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, ends before the picture does or is of another format; 16-bit grayscale (Pillow clips it at 255, which
    /// is hardly ever what was meant); CMYK; more pixels than the [`Budget`] of such a file has memory for.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = mused_formats::read(path)?;
        Self::parse(&bytes, path)
    }

    /// [`Self::open`] from the bytes of a whole file, which errors call `path`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        Self::decode(bytes).map_err(|refusal| match refusal {
            Refusal::Malformed(found) => Error::malformed(path, "a PNG or JPEG image", found),
            Refusal::Unsupported(what) => Error::unsupported(path, what),
            Refusal::TooLarge(error) => error.in_file(path).into(),
        })
    }

    fn decode(bytes: &[u8]) -> std::result::Result<Self, Refusal> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            png(bytes)
        } else if bytes.starts_with(&[0xff, 0xd8]) {
            jpeg(bytes)
        } else {
            Err(Refusal::Malformed(match bytes {
                [] => "an empty file".into(),
                [b'G', b'I', b'F', ..] => "a GIF".into(),
                [b'B', b'M', ..] => "a BMP".into(),
                [b'R', b'I', b'F', b'F', ..] => "a WebP or another RIFF".into(),
                [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "a TIFF".into(),
                _ => "neither".into(),
            }))
        }
    }
}

/// Why bytes are not an image, before the file is known.
#[derive(Debug)]
enum Refusal {
    Malformed(String),
    Unsupported(String),
    TooLarge(mused_formats::Error),
}

/// The pixels of an image that takes so many bytes for each.
fn checked_pixels(
    width: usize,
    height: usize,
    mut budget: Budget,
    bytes: u64,
) -> std::result::Result<usize, Refusal> {
    let place = format!("an image of {width} × {height} pixels");
    match width.checked_mul(height) {
        Some(0) => Err(Refusal::Malformed(place)),
        Some(pixels) if pixels <= MOST_PIXELS => {
            let taken = budget.take(&place, Some(pixels as u64 * bytes));
            taken.map(|()| pixels).map_err(Refusal::TooLarge)
        }
        _ => Err(Refusal::Unsupported(place)),
    }
}

fn png(bytes: &[u8]) -> std::result::Result<RgbImage, Refusal> {
    let damaged = |error: png::DecodingError| Refusal::Malformed(format!("a damaged PNG: {error}"));
    let budget = Budget::of(bytes.len() as u64);
    let limits = png::Limits {
        bytes: usize::try_from(budget.left()).unwrap_or(usize::MAX),
    };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    // Compressed as well, and not looked at.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let info = reader.info();
    let (width, height) = (info.width as usize, info.height as usize);
    if info.bit_depth == png::BitDepth::Sixteen && info.color_type == png::ColorType::Grayscale {
        return Err(Refusal::Unsupported("16-bit grayscale".into()));
    }
    let palette = info.palette.as_deref().map(<[u8]>::len);
    if let Some(length) = palette.filter(|length| !length.is_multiple_of(3)) {
        let found = format!("a damaged PNG: a palette of {length} bytes, no whole colours");
        return Err(Refusal::Malformed(found));
    }
    let pixels = checked_pixels(width, height, budget, PNG_BYTES)?;
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| Refusal::Malformed("a PNG of impossible size".into()))?;
    let mut values = vec![0; size];
    let frame = reader.next_frame(&mut values).map_err(damaged)?;
    // What the last rows are checked by stands behind them.
    reader.finish().map_err(damaged)?;
    values.truncate(frame.buffer_size());
    let values = match frame.color_type {
        png::ColorType::Rgb => values,
        png::ColorType::Rgba => colours(values.as_chunks::<4>().0, |p| [p[0], p[1], p[2]]),
        png::ColorType::Grayscale => values.iter().flat_map(|v| [*v; 3]).collect(),
        png::ColorType::GrayscaleAlpha => colours(values.as_chunks::<2>().0, |p| [p[0]; 3]),
        png::ColorType::Indexed => return Err(Refusal::Malformed("a palette left".into())),
    };
    if values.len() != 3 * pixels {
        return Err(Refusal::Malformed("a PNG frame of another size".into()));
    }
    Ok(RgbImage {
        width,
        height,
        values,
    })
}

fn colours<const N: usize>(pixels: &[[u8; N]], rgb: impl Fn(&[u8; N]) -> [u8; 3]) -> Vec<u8> {
    pixels.iter().flat_map(rgb).collect()
}

fn jpeg(bytes: &[u8]) -> std::result::Result<RgbImage, Refusal> {
    let damaged = |error: &dyn Display| Refusal::Malformed(format!("a damaged JPEG: {error}"));
    let Some(end) = jpeg_end(bytes) else {
        return Err(damaged(&"the file ends before the picture does"));
    };
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_max_width(1 << 16)
        .set_max_height(1 << 16);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| damaged(&error))?;
    match decoder.input_colorspace() {
        Some(ColorSpace::YCbCr | ColorSpace::Luma | ColorSpace::RGB) => {}
        Some(other) => return Err(Refusal::Unsupported(format!("a JPEG in {other:?}"))),
        None => return Err(Refusal::Malformed("a JPEG without colours".into())),
    }
    let (width, height) = match decoder.info() {
        Some(info) => (usize::from(info.width), usize::from(info.height)),
        None => return Err(Refusal::Malformed("a JPEG without a size".into())),
    };
    let budget = Budget::of(bytes.len() as u64);
    let pixels = checked_pixels(width, height, budget, JPEG_BYTES)?;
    // What cannot be decoded would become grey. Stray bytes between headers harm nothing.
    decoder.set_options(options.set_strict_mode(true));
    let values = decoder.decode().map_err(|error| damaged(&error))?;
    if values.len() != 3 * pixels {
        return Err(Refusal::Malformed("a JPEG frame of another size".into()));
    }
    // An end that somebody has put behind half a picture: what is missing would be zeros without a word. Other bytes in
    // its place change nothing of a whole one.
    let (coded, rest) = bytes.split_at(end);
    let longer = [coded, &[0x55; 64], rest].concat();
    let mut again = JpegDecoder::new_with_options(ZCursor::new(&longer), options);
    if again.decode().ok().as_ref() != Some(&values) {
        return Err(damaged(&"its data end before the picture does"));
    }
    Ok(RgbImage {
        width,
        height,
        values,
    })
}

/// Where the marker is that ends the picture. Segments, in one of which a preview may be, are passed over by their
/// length; in coded data a marker's first byte is followed by 0.
fn jpeg_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        at += rest.iter().position(|byte| *byte == 0xff)?;
        at += match *bytes.get(at..)? {
            [_, 0xd9, ..] => return Some(at),
            [_, 0xff, ..] => 1,
            // Coded data, and the markers that no segment follows.
            [_, 0x00 | 0x01 | 0xd0..=0xd8, ..] => 2,
            [_, _, high, low, ..] => 2 + usize::from(u16::from_be_bytes([high, low])),
            _ => return None,
        };
    }
}
