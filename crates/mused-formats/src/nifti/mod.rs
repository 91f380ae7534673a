//! NIfTI-1 and NIfTI-2: single files and .hdr/.img pairs, plain or compressed by gzip, in both byte orders; volumes read
//! one at a time or as a stream; NIfTI-1 written.
//!
//! Format: `nifti1.h` and `nifti2.h`, <https://nifti.nimh.nih.gov>. Where readers differ this one does as nibabel does,
//! down to the affine. Not read: complex and RGB values, 128-bit floats, Analyze 7.5 (a pair without NIfTI's mark).

mod affine;
mod header;
mod read;
mod write;

pub use affine::Affine;
pub use header::{Extension, Header};
pub use read::{Nifti, read_nifti};
pub use write::{NewNifti, NiftiWriter};
