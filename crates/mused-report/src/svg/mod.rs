//! The marks that figures are made of.

mod canvas;
mod matrix;
mod plot;
mod scale;

pub(crate) use canvas::{Anchor, Ink, Svg};
pub(crate) use matrix::{colour_bar, entry, palette, pixels_url, shadows_url};
pub(crate) use plot::Plot;
pub(crate) use scale::{Scale, range_of};
