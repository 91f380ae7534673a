use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ndarray::ArrayView2;

use crate::colour::sequential;

/// Side of the matrix in the figure.
const SIDE: usize = 480;

/// A matrix in colours (dark = small) with a title, a scale and its size, as an SVG document.
///
/// `measure` names what the values are. Values that are not finite stay blank.
pub fn heatmap(matrix: ArrayView2<'_, f64>, title: &str, measure: &str) -> String {
    let finite = || matrix.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (
        finite().fold(f64::INFINITY, f64::min),
        finite().fold(f64::NEG_INFINITY, f64::max),
    );
    let range = if high > low { high - low } else { 1.0 };
    let mut pixels = Vec::with_capacity(matrix.len() * 4);
    for value in matrix {
        let [r, g, b] = sequential((value - low) / range);
        pixels.extend([r, g, b, if value.is_finite() { 255 } else { 0 }]);
    }
    let (rows, columns) = matrix.dim();
    let scale: Vec<u8> = (0..256)
        .rev()
        .flat_map(|step| {
            let [r, g, b] = sequential(f64::from(step) / 255.0);
            [r, g, b, 255]
        })
        .collect();
    let (title, measure) = (escaped(title), escaped(measure));
    let mut svg = String::new();
    let (width, height) = (SIDE + 130, SIDE + 76);
    // Writing to a String cannot fail.
    let _ = write!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{title}: {measure} from {low:.3} to {high:.3}" font-family="Helvetica, Arial, sans-serif" fill="currentColor">
<text x="16" y="28" font-size="16">{title}</text>
<image x="16" y="44" width="{SIDE}" height="{SIDE}" preserveAspectRatio="none" style="image-rendering:pixelated" href="{matrix}"/>
<image x="{bar}" y="44" width="14" height="{SIDE}" preserveAspectRatio="none" href="{scale}"/>
<text x="{numbers}" y="54" font-size="12">{high:.2}</text>
<text x="{numbers}" y="{bottom}" font-size="12">{low:.2}</text>
<text x="{numbers}" y="{middle}" font-size="12" text-anchor="middle" transform="rotate(90 {numbers} {middle})">{measure}</text>
<text x="16" y="{foot}" font-size="12">{rows} × {columns}</text>
</svg>
"#,
        matrix = data_url(&pixels, columns, rows),
        scale = data_url(&scale, 1, 256),
        bar = SIDE + 30,
        numbers = SIDE + 52,
        bottom = SIDE + 44,
        middle = 44 + SIDE / 2,
        foot = SIDE + 64,
    );
    svg
}

/// RGBA pixels as a PNG in a `data:` URL.
fn data_url(pixels: &[u8], width: usize, height: usize) -> String {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    // Memory takes every byte, and the sizes agree by construction; an empty matrix has no image.
    let _ = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(pixels));
    format!("data:image/png;base64,{}", STANDARD.encode(&bytes))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn a_heatmap_names_its_range_and_escapes_its_title() {
        let svg = heatmap(array![[0.0, 0.5], [f64::NAN, 2.0]].view(), "a<b", "1 - r");
        assert!(svg.contains("a&lt;b: 1 - r from 0.000 to 2.000"), "{svg}");
        assert!(svg.contains("2 × 2"));
        assert_eq!(svg.matches("data:image/png;base64,iVBOR").count(), 2);
    }
}
