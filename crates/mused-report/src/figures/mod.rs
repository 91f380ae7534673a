//! One picture a file.

mod calibration;
mod card;
mod cells;
mod confusion;
mod cortex;
mod curves;
mod glass;
mod label_subject;
mod learning;
mod rdms;
mod rows;
mod score;
mod sizes;
mod token_map;
mod views;

pub(crate) use calibration::calibration;
pub(crate) use card::{Decoding, card};
pub(crate) use cells::{Cells, Colours};
pub(crate) use confusion::{confusion, named};
pub(crate) use cortex::Cortex;
pub use cortex::Side;
pub(crate) use curves::{Kind, curves};
pub(crate) use glass::Brain;
pub(crate) use label_subject::label_subject;
pub(crate) use learning::{Line, learning};
pub(crate) use rdms::{Panel as RdmPanel, rdms};
pub(crate) use rows::{Mark, Panel, Row, RowsChart};
pub(crate) use score::{Score, score};
pub use sizes::{SizeLine, SizePoint, over_sizes};
pub(crate) use token_map::{Projection, TokenMap, token_map};
pub(crate) use views::Views;
