//! File formats of the field as arrays: NIfTI, GIFTI, CIFTI-2, FreeSurfer, HDF5, MATLAB .mat, .npy and .npz, tables.
//!
//! Parsers take bytes and know no path; the `read_*` functions around them add the file to their errors. Nothing that a
//! file can hold makes them panic, and no length a file states is allocated before it is checked against what is there.
//! What a file unpacks to has a bound in proportion to it, the [`Budget`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod budget;
mod byte_source;
pub mod cifti;
mod error;
mod fields;
pub mod freesurfer;
pub mod gifti;
pub mod hdf5;
mod lock;
pub mod mat;
pub mod nifti;
pub mod npy;
pub mod npz;
mod number;
mod recognise;
pub mod safetensors;
pub mod sha256;
mod shell;
pub mod surface;
pub mod table;
mod together;
pub mod torch_pickle;
mod whole_file;
mod wording;
mod xml;

pub use budget::Budget;
pub use error::{Error, ErrorKind, Result};
pub use lock::{Claim, Lock, Locked};
pub use recognise::{open, read, recognised};
pub use shell::quoted;
pub use together::Together;
pub use whole_file::{
    WholeFile, copy_file, make_folder, move_folder, replace_file, replace_folder, sync_folder,
};
pub use wording::{plain, refusal};
