//! What is attacked, and good files of each kind.

mod folders;
mod formats;

use crate::Target;

macro_rules! targets {
    ($($name:literal: $module:ident::$read:ident, $seeds:expr;)+) => {
        /// Every parser and decoder.
        pub const TARGETS: &[Target] = &[$(Target {
            name: $name,
            read: $module::$read,
            seeds: || $seeds,
        },)+];
    };
}

/// Files of the tests of other crates.
macro_rules! files {
    ($folder:literal: $($file:literal)+) => {
        vec![$(include_bytes!(concat!("../../../", $folder, "/", $file)).to_vec()),+]
    };
}

targets! {
    "nifti": formats::nifti, files!("mused-formats/tests/files/nifti":
        "f4_1be.nii" "i2_2le.nii" "scaled.nii.gz" "members.nii.gz" "written_sheared.nii" "qform.nii" "pair.hdr");
    "cifti": formats::cifti, files!("mused-formats/tests/files/cifti": "a.dlabel.nii" "a.dscalar.nii" "a.dtseries.nii");
    "gifti": formats::gifti, files!("mused-formats/tests/files/gifti":
        "ASCII.gii" "tiny.gii" "labels.gii" "written.surf.gii" "GZipBase64Binary.gii");
    "mgh": formats::mgh, files!("mused-formats/tests/files/freesurfer": "plain.mgh" "nowhere.mgh" "i2.mgz");
    "surface": formats::surface, files!("mused-formats/tests/files/freesurfer": "lh.white");
    "morph": formats::morph, files!("mused-formats/tests/files/freesurfer": "lh.curv" "lh.old_curv");
    "annotation": formats::annotation, files!("mused-formats/tests/files/freesurfer": "lh.annot" "lh.old.annot");
    "label": formats::label, files!("mused-formats/tests/files/freesurfer": "lh.V1.label");
    "npy": formats::npy, files!("mused-formats/tests/fixtures":
        "be_f4.npy" "fortran.npy" "bool.npy" "cube.npy" "version3.npy" "empty.npy" "u1.npy");
    "npz": formats::npz, files!("mused-formats/tests/files/npz": "deflated.npz" "stored.npz");
    "mat": formats::mat, files!("mused-formats/tests/fixtures": "plain.mat" "compressed.mat" "version4.mat");
    "mat73": formats::mat, files!("mused-formats/tests/files": "version73.mat");
    "hdf5": formats::hdf5, files!("mused-formats/tests/files/hdf5": "tiny_old.h5" "tiny_new.h5");
    "torch": formats::torch, files!("mused-formats/tests/fixtures": "state.pth" "module.pth" "nested.pth" "attack.pth");
    "safetensors": formats::safetensors, formats::safetensors_seeds();
    "table": formats::table, formats::table_seeds();
    "image": formats::image, files!("mused-clip/tests/fixtures":
        "palette_transparent.png" "gray_alpha.png" "rgb16.png" "one_pixel.png" "black_white.png" "photo.jpg" "gray.jpg"
        "progressive.jpg" "restart.jpg" "cmyk.jpg");
    "tokenizer": formats::tokenizer, formats::text_seeds();
    "config": formats::config, formats::config_seeds();
    "vocabulary": folders::vocabulary, folders::vocabulary_seeds();
    "run": folders::run, folders::run_seeds();
    "report": folders::report, folders::report_seeds();
    "dataset": folders::dataset, folders::dataset_seeds();
}
