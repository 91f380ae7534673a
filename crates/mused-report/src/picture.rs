use std::sync::Arc;

use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{self, Options, Tree, fontdb};

use crate::{Error, Result};

/// Dots an inch of pictures.
const DOTS: f64 = 300.0;
/// SVG counts 96 pixels an inch.
const PIXELS: f64 = 96.0;

/// Turns SVG into pixels, with a font of its own: the result is the same on every machine.
pub(crate) struct Pictures {
    options: Options<'static>,
}

impl Pictures {
    pub(crate) fn new() -> Self {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
        let family = fonts
            .faces()
            .next()
            .and_then(|face| face.families.first())
            .map_or_else(String::new, |(family, _)| family.clone());
        fonts.set_sans_serif_family(&family);
        fonts.set_serif_family(&family);
        fonts.set_monospace_family(&family);
        let options = Options {
            font_family: family,
            fontdb: Arc::new(fonts),
            ..Options::default()
        };
        Self { options }
    }

    /// A PNG on white, of 300 dots an inch at the drawing's size.
    pub(crate) fn png(&self, id: &str, svg: &str) -> Result<Vec<u8>> {
        let failed = |message: String| Error::Picture {
            id: id.to_owned(),
            message,
        };
        let tree = Tree::from_str(svg, &self.options)
            .map_err(|error: usvg::Error| failed(error.to_string()))?;
        let factor = (DOTS / PIXELS) as f32;
        let size = tree.size();
        let side = |length: f32| (length * factor).ceil() as u32;
        let (width, height) = (side(size.width()), side(size.height()));
        let mut pixels = Pixmap::new(width, height)
            .ok_or_else(|| failed(format!("{width} × {height} pixels are too many")))?;
        pixels.fill(Color::WHITE);
        resvg::render(
            &tree,
            Transform::from_scale(factor, factor),
            &mut pixels.as_mut(),
        );
        // On white nothing is transparent: colours are as they are, without their alpha.
        let colours: Vec<u8> = pixels
            .data()
            .chunks_exact(4)
            .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
            .collect();
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let metre = (DOTS / 0.0254).round() as u32;
        encoder.set_pixel_dims(Some(png::PixelDimensions {
            xppu: metre,
            yppu: metre,
            unit: png::Unit::Meter,
        }));
        encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(&colours))
            .map_err(|error| failed(error.to_string()))?;
        Ok(bytes)
    }
}
