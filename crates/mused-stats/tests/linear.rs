//! Ridge against scikit-learn's, alignments against numpy (`fixtures/make_linear.py`) and a planted truth.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::Mutex;

use mused_stats::ridge::{self, CrossFit, Ridge, cross_fit, cross_fit_of};
use mused_stats::{Error, SharedSpace, SubjectMap, procrustes, srm};
use ndarray::{Array1, Array2, ArrayView2, Axis, array};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const TOLERANCE: f64 = 1e-9;

/// Alignments stop when the template moves by less than 1e-10 of its norm.
const ALIGNED: f64 = 1e-7;

fn oracle() -> Value {
    serde_json::from_str(include_str!("fixtures/linear.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn difference(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    assert_eq!(a.dim(), b.dim());
    (a - b).iter().fold(0.0, |most, x| most.max(x.abs()))
}

fn fit(x: &Array2<f64>, y: &Array2<f64>, penalty: f64) -> mused_stats::Result<Ridge> {
    ridge::fit(|| Ok(x.clone()), y.view(), penalty)
}

#[test]
fn ridge_is_scikit_learns() {
    for (name, case) in oracle()["ridge"].as_object().unwrap() {
        let [features, targets, new] = ["features", "targets", "new"].map(|key| matrix(&case[key]));
        for expected in case["models"].as_array().unwrap() {
            let penalty = expected["penalty"].as_f64().unwrap();
            let model = fit(&features, &targets, penalty).unwrap();
            let intercept = Array1::from(numbers(&expected["intercept"])).insert_axis(Axis(0));
            let predictions = matrix(&expected["predictions"]);
            for (what, found) in [
                (
                    "weights",
                    difference(&model.weights, &matrix(&expected["weights"])),
                ),
                (
                    "intercept",
                    difference(&model.intercept.clone().insert_axis(Axis(0)), &intercept),
                ),
                (
                    "predictions",
                    difference(&model.predict(new.view()), &predictions),
                ),
            ] {
                assert!(found < TOLERANCE, "{name}, {penalty}, {what}: {found:e}");
            }
        }
    }
}

#[test]
fn penalties_and_held_out_predictions_are_scikit_learns() {
    for (name, case) in oracle()["selection"].as_object().unwrap() {
        let [features, targets, held_out, predictions] =
            ["features", "targets", "held_out", "predictions"].map(|key| matrix(&case[key]));
        let parts: Vec<usize> = numbers(&case["parts"])
            .iter()
            .map(|&part| part as usize)
            .collect();
        let CrossFit {
            model,
            held_out: found,
            penalties,
        } = cross_fit(features.view(), targets.view(), &[1, 2], &parts).unwrap();
        for (penalty, expected) in penalties.iter().zip(numbers(&case["penalties"])) {
            assert!(
                (penalty / expected - 1.0).abs() < TOLERANCE,
                "{name}: {penalty} {expected}"
            );
        }
        assert!(difference(&found, &held_out) < TOLERANCE, "{name}");
        let predicted = model.predict(features.view());
        assert!(difference(&predicted, &predictions) < TOLERANCE, "{name}");
    }
}

/// Sums over the other rows are made of those over all: as good as made anew, of either Gram matrix, of parts that are uneven,
/// far from 0 or much larger than the rest, of columns that are alike.
#[test]
fn the_others_say_what_they_say_alone() {
    let rng = &mut ChaCha8Rng::seed_from_u64(8);
    for (rows, width) in [(60, 7), (60, 45), (60, 54), (24, 61), (9, 9)] {
        let mut x = normals(rng, rows, width) + 300.0;
        let y = normals(rng, rows, 3) + x.slice(ndarray::s![.., ..1]);
        let parts: Vec<usize> = (0..rows).map(|row| [4, 7, 7, 9, 4, 7][row % 6]).collect();
        for (mut row, part) in x.rows_mut().into_iter().zip(&parts) {
            row *= if *part == 9 { 100.0 } else { 1.0 };
        }
        let twin = x.column(1).to_owned();
        x.column_mut(2).assign(&twin);
        let found = cross_fit(x.view(), y.view(), &[2, 1], &parts).unwrap();
        for part in [4, 7, 9] {
            let (own, others): (Vec<usize>, Vec<usize>) =
                (0..rows).partition(|&row| parts[row] == part);
            let [of_others, shown] = [&x, &y].map(|all| all.select(Axis(0), &others));
            for (block, penalty) in [0..2, 2..3].into_iter().zip(&found.penalties) {
                let columns = ndarray::s![.., block];
                let shown = shown.slice(columns).to_owned();
                let model = fit(&of_others, &shown, *penalty).unwrap();
                let mean = shown.mean_axis(Axis(0)).unwrap();
                let expected = model.predict(x.select(Axis(0), &own).view()) - mean;
                let said = found.held_out.select(Axis(0), &own);
                let off = difference(&said.slice(columns).to_owned(), &expected);
                assert!(off < 1e-8, "{rows} of {width}, part {part}: {off:e}");
            }
        }
    }
}

/// Whoever holds features in double precision beside eigenvectors holds too much: all rows are read once, and again where there
/// are fewer of them than features; else each part's own.
#[test]
fn features_are_read_when_they_are_needed() {
    let y = Array2::from_shape_fn((40, 3), |(i, j)| ((i * 3 + j * 5) as f64).cos());
    let parts: Vec<usize> = (0..40).map(|row| row % 4).collect();
    for (width, expected) in [(6, &[10, 10, 10, 10, 40][..]), (60, &[40, 40])] {
        let x = Array2::from_shape_fn((40, width), |(i, j)| ((i * 7 + j * 13) as f64).sin());
        let asked = Mutex::new(Vec::new());
        let read = |rows: &[usize]| {
            asked.lock().unwrap().push(rows.len());
            Ok::<_, Error>(x.select(Axis(0), rows))
        };
        let found = cross_fit_of(read, y.view(), &[3], &parts).unwrap();
        assert_eq!(found, cross_fit(x.view(), y.view(), &[3], &parts).unwrap());
        let mut asked = asked.into_inner().unwrap();
        asked.sort_unstable();
        assert_eq!(asked, expected);
    }
    let refused = cross_fit_of(|_| Err(Error::OnePart), y.view(), &[3], &parts);
    assert!(matches!(refused, Err(Error::OnePart)));
}

#[test]
fn alignments_are_numpys() {
    let oracle = oracle();
    let case = &oracle["alignment"];
    let subjects: Vec<Array2<f64>> = case["subjects"]
        .as_array()
        .unwrap()
        .iter()
        .map(matrix)
        .collect();
    let views: Vec<_> = subjects.iter().map(|rows| rows.view()).collect();
    let most = case["most"].as_u64().unwrap() as usize;
    for (name, fit) in METHODS.map(|method| (method.0, method.1)) {
        let space = fit(&views, most).unwrap();
        let template = difference(&space.template, &matrix(&case[name]["template"]));
        assert!(template < ALIGNED, "{name}: {template:e}");
        for (map, expected) in space
            .maps
            .iter()
            .zip(case[name]["maps"].as_array().unwrap())
        {
            let weights = difference(&map.weights, &matrix(expected));
            assert!(weights < ALIGNED, "{name}: {weights:e}");
        }
    }
}

type Fit = fn(&[ArrayView2<f64>], usize) -> mused_stats::Result<SharedSpace>;
type Align = fn(ArrayView2<f64>, ArrayView2<f64>) -> mused_stats::Result<SubjectMap>;
const METHODS: [(&str, Fit, Align); 2] = [
    ("procrustes", procrustes::fit, procrustes::align),
    ("srm", srm::fit, srm::align),
];

/// About normal: the sum of twelve uniform numbers less 6.
fn normal(rng: &mut impl Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

fn normals(rng: &mut impl Rng, rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_simple_fn((rows, columns), || normal(rng))
}

fn correlation(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    let (a, b) = (a - a.mean().unwrap(), b - b.mean().unwrap());
    (&a * &b).sum() / ((&a * &a).sum() * (&b * &b).sum()).sqrt()
}

/// Random orthonormal rows, by Gram and Schmidt.
fn orthonormal_rows(rng: &mut impl Rng, rows: usize, columns: usize) -> Array2<f64> {
    let mut made = normals(rng, rows, columns);
    for row in 0..rows {
        for before in 0..row {
            let other = made.row(before).to_owned();
            let shared = made.row(row).dot(&other);
            made.row_mut(row).scaled_add(-shared, &other);
        }
        let norm = made.row(row).dot(&made.row(row)).sqrt();
        made.row_mut(row).mapv_inplace(|x| x / norm);
    }
    made
}

/// Five subjects with 30 to 70 voxels, in which 4 dimensions of 120 stimuli lie, each voxel with noise of about
/// half its signal. The first 80 stimuli align; the other 40 must then look alike in all subjects, also in one
/// that came later.
#[test]
fn a_planted_space_is_found() {
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let source = normals(rng, 120, 4);
    let subjects: Vec<Array2<f64>> = (0..5)
        .map(|subject| {
            let voxels = 30 + 10 * subject;
            source.dot(&orthonormal_rows(rng, 4, voxels)) + 0.15 * normals(rng, 120, voxels)
        })
        .collect();
    let part = |rows: &Array2<f64>, from: usize, to: usize| {
        rows.slice(ndarray::s![from..to, ..]).to_owned()
    };
    let training: Vec<Array2<f64>> = subjects.iter().map(|rows| part(rows, 0, 80)).collect();
    let views: Vec<_> = training.iter().map(|rows| rows.view()).collect();
    for (name, find, align) in METHODS {
        let space = find(&views[..4], 4).unwrap();
        assert_eq!(space.template.dim(), (80, 4), "{name}");
        let mut maps = space.maps.clone();
        maps.push(align(views[4], space.template.view()).unwrap());
        let new: Vec<Array2<f64>> = maps
            .iter()
            .zip(&subjects)
            .map(|(map, rows)| map.apply(part(rows, 80, 120).view()))
            .collect();
        for a in &new {
            for b in &new {
                let found = correlation(a, b);
                assert!(found > 0.95, "{name}: {found}");
            }
        }
        // The template is the planted space but for a linear map.
        let planted = part(&source, 0, 80);
        let fitted = fit(&space.template, &planted, 1e-6).unwrap();
        let found = correlation(&fitted.predict(space.template.view()), &planted);
        assert!(found > 0.95, "{name}: {found}");
    }
}

#[test]
fn spaces_are_no_larger_than_the_data() {
    let rng = &mut ChaCha8Rng::seed_from_u64(6);
    let (a, b) = (normals(rng, 9, 3), normals(rng, 9, 20));
    for (name, fit, _) in METHODS {
        assert_eq!(
            fit(&[a.view(), b.view()], 50).unwrap().template.dim(),
            (9, 3),
            "{name}"
        );
        assert_eq!(
            fit(&[b.view(), b.view()], 50).unwrap().template.dim(),
            (9, 8),
            "{name}"
        );
        let refused = fit(&[a.view(), Array2::zeros((9, 4)).view()], 50).unwrap_err();
        assert_eq!(refused, Error::NothingVaries, "{name}");
        let refused = fit(&[a.view(), normals(rng, 8, 3).view()], 50).unwrap_err();
        assert!(matches!(refused, Error::Shape { .. }), "{name}: {refused}");
        assert!(fit(&[], 50).is_err(), "{name}");
    }
}

#[test]
fn what_ridge_cannot_read_is_refused() {
    let (x, y) = (array![[1.0, 2.0], [3.0, 4.0]], array![[0.0], [1.0]]);
    let refused = |x: &Array2<f64>, parts: &[usize], blocks: &[usize]| {
        cross_fit(x.view(), y.view(), blocks, parts).unwrap_err()
    };
    assert_eq!(refused(&x, &[4, 4], &[1]), Error::OnePart);
    assert!(matches!(refused(&x, &[0], &[1]), Error::Shape { .. }));
    assert!(matches!(refused(&x, &[0, 1], &[2]), Error::Shape { .. }));
    let refused = refused(&array![[1.0], [f64::NAN]], &[0, 1], &[1]);
    assert!(refused.to_string().contains("[1, 0]"), "{refused}");
    let refused = cross_fit(Array2::zeros((2, 0)).view(), y.view(), &[1], &[0, 1]).unwrap_err();
    assert!(matches!(refused, Error::Empty { .. }), "{refused}");
    let refused = fit(&x, &array![[1.0]], 1.0).unwrap_err();
    assert!(matches!(refused, Error::Shape { .. }), "{refused}");
    let refused = fit(&x, &y, -100.0).unwrap_err();
    assert!(matches!(refused, Error::NotPositive { .. }), "{refused}");
    // Features that never vary predict the mean.
    let fitted = cross_fit(
        Array2::ones((4, 3)).view(),
        array![[0.0], [1.0], [1.0], [1.0]].view(),
        &[1],
        &[0, 0, 1, 1],
    )
    .unwrap();
    assert_eq!(fitted.held_out, Array2::<f64>::zeros((4, 1)));
    let model = fitted.model;
    assert_eq!(model.predict(Array2::ones((1, 3)).view()), array![[0.75]]);
}

#[test]
fn bits_do_not_depend_on_threads() {
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    let x = normals(rng, 300, 150);
    // More rows in a part, and more features or rows in the others, than one task multiplies.
    let (narrow, wide) = (normals(rng, 580, 270), normals(rng, 580, 600));
    let parts: Vec<usize> = (0..580).map(|row| row % 2).collect();
    let compute = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let spaces = METHODS
                .map(|(_, fit, _)| fit(&[x.view(), x.slice(ndarray::s![.., 20..])], 10).unwrap());
            let ridges = [&narrow, &wide].map(|x| {
                let y = x.slice(ndarray::s![.., ..2]);
                cross_fit(x.view(), y, &[2], &parts).unwrap()
            });
            (ridges, spaces)
        })
    };
    assert_eq!(compute(1), compute(3));
}
