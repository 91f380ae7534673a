//! Responses of a generated BIDS dataset against nilearn's designs and numpy's least squares
//! (`generate_bids.py`), and everything that can be wrong with one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod mistakes;
mod resume;
mod runs;
mod tree;
mod values;
