//! Surfaces of both kinds of files.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use mused_formats::freesurfer::read_surface;
use mused_formats::gifti::{DataArray, Gifti, POINTSET, TRIANGLE};
use mused_formats::npy::Dtype;
use mused_formats::surface::Surface;
use ndarray::{Array2, ArrayD, array};
use support::file;
use tempfile::TempDir;

fn gifti(vertices: ArrayD<f64>, triangles: ArrayD<f64>) -> Gifti {
    let one = |intent: &str, dtype: Dtype, values: ArrayD<f64>| DataArray {
        intent: intent.to_owned(),
        dtype,
        metadata: Vec::new(),
        transforms: Vec::new(),
        values,
    };
    Gifti {
        arrays: vec![
            one(POINTSET, Dtype::F32, vertices),
            one(TRIANGLE, Dtype::I32, triangles),
        ],
        ..Gifti::default()
    }
}

#[test]
fn surfaces_are_read_from_gifti_and_freesurfer() {
    let own = file("freesurfer").join("lh.white");
    let surface = Surface::read(&own).unwrap();
    assert_eq!(surface, read_surface(&own).unwrap());
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("lh.surf.gii");
    let (vertices, triangles) = (&surface.vertices, &surface.triangles);
    let mut whole = gifti(
        vertices.mapv(f64::from).into_dyn(),
        triangles.mapv(f64::from).into_dyn(),
    );
    whole.write(&path).unwrap();
    assert_eq!(Surface::read(&path).unwrap(), surface);
    let side = ("AnatomicalStructurePrimary", "CortexLeft");
    whole.arrays[0].metadata = vec![(side.0.to_owned(), side.1.to_owned())];
    whole.write(&path).unwrap();
    assert_eq!(Surface::read(&path).unwrap().structure, "CortexLeft");
}

#[test]
fn what_is_no_surface_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("lh.surf.gii");
    let vertices = Array2::zeros((4, 3)).into_dyn();
    let said = |gifti: &Gifti| {
        gifti.write(&path).unwrap();
        Surface::read(&path).unwrap_err().to_string()
    };
    let outside = gifti(vertices.clone(), array![[0., 1., 4.]].into_dyn());
    let message = said(&outside);
    assert!(
        message.contains("lh.surf.gii") && message.contains("triangles of 4 vertices"),
        "{message}"
    );
    let flat = gifti(vertices, array![0., 1., 2.].into_dyn());
    assert!(said(&flat).contains("as a .surf.gii has"));
    let mut values = gifti(
        Array2::zeros((4, 3)).into_dyn(),
        array![[0., 1., 2.]].into_dyn(),
    );
    values.arrays.truncate(1);
    assert!(said(&values).contains("NIFTI_INTENT_TRIANGLE"));
    std::fs::write(&path, b"\xff\xff").unwrap();
    assert!(
        Surface::read(&path)
            .unwrap_err()
            .to_string()
            .contains("lh.surf.gii")
    );
    std::fs::write(&path, b"\x93NUMPY").unwrap();
    assert!(Surface::read(&path).is_err());
}
