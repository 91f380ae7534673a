//! NumPy's .npy: whole arrays, a matrix read by rows, and a row-by-row writer.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1 to 3.

mod header;
mod matrix;
mod read;
mod write;

pub use header::{ByteOrder, Dtype, Header};
pub use matrix::{FileState, NpyMatrix};
pub use read::{parse, parse_f32, parse_u8, read_npy, read_npy_f32, read_npy_u8};
pub use write::{NpyWriter, write_npy_f32, write_npy_f64, write_npy_u8};
