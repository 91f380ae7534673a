//! `mused import rdm`: real data where it is at hand, and everything a manifest can get wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod mistakes;
mod published;
mod resume;
#[path = "../../../mused-formats/tests/support/shared.rs"]
mod shared;
mod tree;
mod values;
