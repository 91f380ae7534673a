//! Figures of datasets and runs as SVG.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod colour;
mod heatmap;

pub use heatmap::heatmap;
