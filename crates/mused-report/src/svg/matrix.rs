use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Anchor, Ink, Svg};

/// Pixels of a palette as a PNG in a `data:` URL; entry 0 of the palette is transparent.
pub(crate) fn pixels_url(pixels: &[u8], size: (usize, usize), palette: &[[u8; 3]]) -> String {
    png_url(pixels, size, palette, &[0])
}

/// Shadows from 0, none, to 255, black, as [`pixels_url`].
pub(crate) fn shadows_url(pixels: &[u8], size: (usize, usize)) -> String {
    let opacity: Vec<u8> = (0..=255).collect();
    png_url(pixels, size, &[[0; 3]; 256], &opacity)
}

fn png_url(pixels: &[u8], size: (usize, usize), palette: &[[u8; 3]], opacity: &[u8]) -> String {
    let mut bytes = Vec::new();
    let (width, height) = size;
    let mut encoder = png::Encoder::new(&mut bytes, width.max(1) as u32, height.max(1) as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    encoder.set_palette(palette.iter().flatten().copied().collect::<Vec<u8>>());
    encoder.set_trns(opacity);
    // Memory takes every byte, and the sizes agree by construction; an empty matrix has no image.
    let _ = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(pixels));
    format!("data:image/png;base64,{}", STANDARD.encode(&bytes))
}

/// Entries 1 to 255 of a palette that runs through `colour` from 0 to 1.
pub(crate) fn palette(colour: impl Fn(f64) -> [u8; 3]) -> Vec<[u8; 3]> {
    let entries = (0..255).map(|step| colour(f64::from(step) / 254.0));
    std::iter::once([0; 3]).chain(entries).collect()
}

/// The entry of a share from 0 to 1; 0 = transparent where it is not finite.
pub(crate) fn entry(share: f64) -> u8 {
    if share.is_finite() {
        1 + (share.clamp(0.0, 1.0) * 254.0).round() as u8
    } else {
        0
    }
}

/// What the colours of a matrix mean: a lying bar with its two ends and a name.
pub(crate) fn colour_bar(
    svg: &mut Svg,
    (x, y): (f64, f64),
    width: f64,
    colour: impl Fn(f64) -> [u8; 3],
    words: [&str; 3],
) {
    let pixels: Vec<u8> = (1..=255).collect();
    let url = pixels_url(&pixels, (255, 1), &palette(colour));
    svg.image(x, y, (width, 10.0), &url, true);
    let [low, name, high] = words;
    svg.text((x, y + 24.0), Anchor::Start, Ink::Quiet, low);
    svg.text((x + width, y + 24.0), Anchor::End, Ink::Quiet, high);
    svg.text((x + width / 2.0, y + 24.0), Anchor::Middle, Ink::Text, name);
}
