//! Writes the voxels of a mask of a 4-D NIfTI file as rows of an .npy, one a volume, in memory that a volume fits in:
//!
//!     cargo run --release -p mused-formats --example nifti_to_npy -- bold.nii.gz mask.nii.gz responses.npy

use std::process::ExitCode;

use mused_formats::Result;
use mused_formats::nifti::Nifti;
use mused_formats::npy::{Dtype, NpyWriter};

fn convert(image: &str, mask: &str, output: &str) -> Result<()> {
    let mask = Nifti::open(mask)?.read_volume(0)?;
    let inside = mask.iter().enumerate().filter(|(_, value)| **value != 0.);
    let voxels: Vec<usize> = inside.map(|(voxel, _)| voxel).collect();
    let mut image = Nifti::open(image)?;
    let volumes = image.header().volumes();
    let mut responses = NpyWriter::create(output, Dtype::F32, volumes, voxels.len())?;
    image.for_each_volume(&voxels, |_, values| responses.write_row(values))?;
    responses.finish()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [image, mask, output] = arguments.as_slice() else {
        eprintln!("usage: nifti_to_npy IMAGE MASK OUTPUT");
        return ExitCode::from(2);
    };
    match convert(image, mask, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
