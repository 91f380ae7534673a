//! Reports of runs as one HTML file, and figures of datasets and runs as SVG and PNG.
//!
//! A report is made of sections, a section of figures, a figure of marks; every figure is an SVG document that stands
//! on its own, with the table behind it and its text alternative.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod colour;
mod curve_page;
mod error;
mod escape;
mod figure;
mod figures;
mod files;
mod heatmap;
mod input;
mod number;
mod page;
mod picture;
mod report;
mod sections;
mod svg;
mod table;

pub use curve_page::CurvePage;
pub use error::{Error, Result};
pub use figure::Figure;
pub use figures::{Side, SizeLine, SizePoint, over_sizes};
pub use heatmap::heatmap;
pub use input::{Images, NoImages, Pixels, RunFiles, ScoredRun};
pub use report::{Report, Request};
pub use table::{Cell, Table};
