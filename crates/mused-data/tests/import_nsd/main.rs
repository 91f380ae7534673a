//! A small tree in NSD's layout against numpy, pandas and h5py (`generate_nsd.py`), and everything that can be wrong
//! with one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod mistakes;
mod resume;
mod tree;
mod values;
