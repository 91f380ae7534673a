//! Maps of imported datasets against those that nibabel wrote (`generate_hcp.py`) and against numpy's
//! correlations (`generate_bids.py` has the repeats).
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::import::bids::{self, BidsConfig, Estimate, Region};
use mused_data::import::hcp::{self, HcpConfig};
use mused_data::import::npy::{self, NpyConfig};
use mused_data::map::{self, Quantity};
use mused_data::{Dataset, Subject};
use mused_formats::cifti::Cifti;
use mused_formats::nifti::read_nifti;
use mused_formats::npy::{write_npy_f32, write_npy_u8};
use ndarray::{Array1, Array2, arr2};
use tempfile::TempDir;

fn files(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    tests.join(name)
}

fn hcp(folder: &TempDir, variant: &str, atlas: Option<&str>) -> Dataset {
    let config = HcpConfig {
        subjects: vec!["100610".to_owned()],
        variant: Some(variant.to_owned()),
        atlas: atlas.map(str::to_owned),
        ..HcpConfig::default()
    };
    let out = folder.path().join(variant);
    hcp::import(&files("hcp"), &out, &config, &mut |_, _| {}).unwrap();
    Dataset::open(out).unwrap()
}

fn write(folder: &TempDir, subject: &Subject, values: &[f32], name: &str) -> PathBuf {
    let out = folder.path().join(name);
    map::write(subject, "mean", values, &out).unwrap();
    out
}

#[test]
fn volumes_equal_nibabels() {
    let folder = TempDir::new().unwrap();
    let dataset = hcp(&folder, "hp2000_clean", None);
    for quantity in [Quantity::Mean, Quantity::Sd] {
        let values = map::compute(&dataset, 0, quantity).unwrap();
        let name = format!("{}.nii.gz", quantity.name());
        let out = write(&folder, &dataset.subjects[0], &values, &name);
        let (header, found) = read_nifti(out).unwrap();
        let (expected_header, expected) = read_nifti(files("hcp").join(&name)).unwrap();
        assert_eq!(header.affine, expected_header.affine);
        assert_eq!(header.shape, expected_header.shape);
        let pairs = found.iter().zip(&expected);
        let worst = pairs.fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst < 1e-7, "{name}: {worst:e}");
    }
    let roi = map::compute(&dataset, 0, Quantity::Roi).unwrap();
    assert!(roi.iter().all(|number| *number == 1.0));
}

#[test]
fn grayordinates_equal_nibabels() {
    let folder = TempDir::new().unwrap();
    let variant = "Atlas_1.6mm_MSMAll_hp2000_clean";
    let dataset = hcp(&folder, variant, Some("atlas.dlabel.nii"));
    let subject = &dataset.subjects[0];
    let values = map::compute(&dataset, 0, Quantity::Mean).unwrap();
    let out = write(&folder, subject, &values, "mean.dscalar.nii");
    let mut found = Cifti::open(out).unwrap();
    let mut expected = Cifti::open(files("hcp/mean.dscalar.nii")).unwrap();
    assert_eq!(found.columns(), expected.columns());
    assert_eq!(found.rows(), expected.rows());
    let difference = found.read_all().unwrap() - expected.read_all().unwrap();
    assert!(difference.iter().all(|value| value.abs() < 1e-7));
    let roi = map::compute(&dataset, 0, Quantity::Roi).unwrap();
    assert_eq!(roi, [1.0, 1.0, 2.0, 2.0]);

    let refused = map::write(subject, "mean", &values, &folder.path().join("a.nii.gz"));
    let message = refused.unwrap_err().to_string();
    assert!(
        message.contains("came from CIFTI: write a .dscalar.nii"),
        "{message}"
    );
}

#[test]
fn regions_of_a_study_take_values_by_name() {
    let folder = TempDir::new().unwrap();
    let root = files("bids");
    let config = BidsConfig {
        derivatives: Some(root.join("derivatives/prep")),
        exclude: vec!["rest".to_owned(), "button".to_owned()],
        estimate: Estimate::Window(Some([4.0, 8.0])),
        regions: vec![Region::Atlas {
            path: "sub-{subject}/sub-{subject}_dseg.nii.gz".to_owned(),
            names: Some("dseg.tsv".to_owned()),
        }],
        ..BidsConfig::default()
    };
    let out = folder.path().join("data");
    bids::import(&root, &out, &config, &mut |_, _| {}).unwrap();
    let dataset = Dataset::open(out).unwrap();
    let subject = &dataset.subjects[0];
    let table = folder.path().join("auc.tsv");
    fs::write(&table, "roi\tvalue\nPPA\t0.75\n").unwrap();
    let values = map::read_values(&dataset, 0, &table).unwrap();
    let out = write(&folder, subject, &values, "auc.nii.gz");
    let (header, found) = read_nifti(out).unwrap();
    let run =
        "derivatives/prep/sub-01/func/sub-01_task-see_run-1_space-T1w_desc-preproc_bold.nii.gz";
    assert_eq!(header.affine, read_nifti(root.join(run)).unwrap().0.affine);
    for voxel in subject.voxels.iter() {
        let at = voxel.coordinate.unwrap().map(|index| index as usize);
        let expected = if voxel.roi == "PPA" { 0.75 } else { 0.0 };
        assert_eq!(found[at.as_slice()], expected);
    }
    assert_eq!(found.iter().filter(|value| **value != 0.0).count(), 6);

    fs::write(&table, "roi\tvalue\nV9\t0.75\n").unwrap();
    let message = map::read_values(&dataset, 0, &table)
        .unwrap_err()
        .to_string();
    assert!(message.contains("expected a region of sub-01"), "{message}");
    fs::write(&table, "value\n1\n2\n").unwrap();
    let message = map::read_values(&dataset, 0, &table)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("each of the 12 voxels of sub-01, found 2"),
        "{message}"
    );
}

/// A dataset of 2 voxels, 4 stimuli seen 3, 2, 2 and 1 times.
fn arrays(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("stimuli.tsv"), "stimulus_id\na\nb\nc\nd\n").unwrap();
    fs::write(folder.join("labels.tsv"), "label\nface\n").unwrap();
    write_npy_u8(
        folder.join("labels.npy"),
        arr2(&[[1], [0], [1], [0]]).view(),
    )
    .unwrap();
    let trials = "stimulus_id\na\nb\na\nc\nd\nb\na\nc\n";
    fs::write(folder.join("anna_trials.tsv"), trials).unwrap();
    let voxels = "roi\ti\tj\tk\nV1\t0\t1\t1\nV2\t2\t3\t2\n";
    fs::write(folder.join("anna_voxels.tsv"), voxels).unwrap();
    let responses: Array2<f32> = arr2(&[
        [1.0, 4.0],
        [2.0, 1.0],
        [1.5, 0.5],
        [4.0, -2.0],
        [9.0, 9.0],
        [2.5, 3.0],
        [2.0, 1.0],
        [3.0, 0.0],
    ]);
    write_npy_f32(folder.join("anna.npy"), responses.view()).unwrap();
}

#[test]
fn repeatability_equals_numpys() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("arrays");
    arrays(&source);
    let open = |name: &str| {
        let out = folder.path().join(name);
        npy::import(&source, &out, &NpyConfig::default(), &mut |_, _| {}).unwrap();
        Dataset::open(out).unwrap()
    };
    let dataset = open("without");
    let values = map::compute(&dataset, 0, Quantity::Repeatability).unwrap();
    // np.corrcoef([1.5, 2, 4], [1.5, 2.5, 3])[0, 1], np.corrcoef([2.5, 1, -2], [.5, 3, 0])[0, 1]
    for (value, expected) in values.iter().zip([0.866_025_4_f32, 0.339_422_1]) {
        assert!((value - expected).abs() < 1e-6, "{values:?}");
    }
    let out = folder.path().join("map.nii.gz");
    let refused = map::write(&dataset.subjects[0], "r", &values, &out);
    let message = refused.unwrap_err().to_string();
    assert!(
        message.contains("expected the place of the voxels of anna"),
        "{message}"
    );

    // With an image of their grid, arrays can be mapped.
    fs::copy(files("hcp/atlas.nii.gz"), source.join("anna_mask.nii.gz")).unwrap();
    let dataset = open("with");
    map::write(&dataset.subjects[0], "r", &values, &out).unwrap();
    let (header, found) = read_nifti(&out).unwrap();
    let grid = dataset.subjects[0].grid().unwrap().unwrap();
    assert_eq!((header.affine, grid.shape), (grid.affine, [3, 4, 3]));
    assert_eq!((found[[0, 1, 1]], found[[2, 3, 2]]), (values[0], values[1]));
    let own = folder.path().join("own.npy");
    fs::write(&own, npy(&Array1::from(vec![3.0, 4.0]))).unwrap();
    assert_eq!(map::read_values(&dataset, 0, &own).unwrap(), [3.0, 4.0]);

    for (name, expected) in [
        ("map.mgz", "expected a name that ends in .nii"),
        ("map.dscalar.nii", "expected a subject imported from CIFTI"),
    ] {
        let refused = map::write(
            &dataset.subjects[0],
            "r",
            &values,
            &folder.path().join(name),
        );
        let message = refused.unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    fs::write(
        source.join("anna_voxels.tsv"),
        "roi\ti\tj\tk\nV1\t0\t1\t1\nV2\t2\t4\t2\n",
    )
    .unwrap();
    let out = folder.path().join("outside");
    let refused = npy::import(&source, &out, &NpyConfig::default(), &mut |_, _| {});
    let message = refused.unwrap_err().to_string();
    assert!(
        message.contains("expected voxels within the grid [3, 4, 3]"),
        "{message}"
    );
}

/// A vector of float32 as a .npy file.
fn npy(values: &Array1<f32>) -> Vec<u8> {
    let header = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({},), }}\n",
        values.len()
    );
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

#[test]
fn several_maps_are_one_image_and_subjects_of_one_space_have_a_mean() {
    let folder = TempDir::new().unwrap();
    let volumes = hcp(&folder, "hp2000_clean", None);
    let subject = &volumes.subjects[0];
    let voxels = subject.voxels.len();
    let maps = Array2::from_shape_fn((3, voxels), |(map, voxel)| (map * 100 + voxel) as f32);
    let twice = maps.mapv(|value| 3.0 * value);
    let names = ["face", "house", "chair"];
    let out = folder.path().join("mean.nii.gz");
    assert!(map::one_space(&[subject, subject]).unwrap());
    map::write_means(
        &[(subject, maps.view()), (subject, twice.view())],
        &names,
        &out,
    )
    .unwrap();
    let (header, image) = read_nifti(&out).unwrap();
    let grid = subject.grid().unwrap().unwrap();
    assert_eq!(header.shape, [&grid.shape[..], &[3]].concat());
    for (column, voxel) in subject.voxels.iter().enumerate() {
        let [i, j, k] = voxel.coordinate.unwrap().map(|axis| axis as usize);
        assert_eq!(image[[i, j, k, 2]], 2.0 * maps[[2, column]]);
    }

    let variant = "Atlas_1.6mm_MSMAll_hp2000_clean";
    let surfaces = hcp(&folder, variant, Some("atlas.dlabel.nii"));
    let own = &surfaces.subjects[0];
    assert_eq!(map::image(own).unwrap().unwrap().ending, "dscalar.nii");
    let maps = Array2::from_elem((2, own.voxels.len()), 1.5);
    let out = folder.path().join("two.dscalar.nii");
    map::write_means(&[(own, maps.view())], &["a", "b"], &out).unwrap();
    let all = Cifti::open(&out).unwrap().read_all().unwrap();
    assert_eq!(all.ncols(), 2);
    assert!(!map::one_space(&[subject, own]).unwrap());
}
