//! Importance and patterns where they are: through the brain, and on surfaces.

use std::fs;
use std::path::{Path, PathBuf};

use mused_data::simulate::{SimulateConfig, simulate};
use mused_data::{Dataset, Kind, Subject};
use mused_formats::cifti::{BrainModel, BrainModels, Location, write_scalars};
use mused_formats::npy;
use mused_formats::surface::Surface;
use mused_report::{Figure, NoImages, Report, Request, RunFiles, Side};
use ndarray::{Array1, Array2};
use tempfile::TempDir;

use crate::example::Example;

/// A simulated dataset of three people in one space, and a run of it.
struct Simulated {
    folder: TempDir,
    dataset: Dataset,
}

impl Simulated {
    fn new(kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        let config = SimulateConfig {
            kind,
            subjects: 3,
            stimuli: 40,
            ..SimulateConfig::common_space()
        };
        simulate(&config, &data, &mut |_, _| {}).unwrap();
        let dataset = Dataset::open(&data).unwrap();
        Self { folder, dataset }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A run with importance and patterns of every voxel.
    fn run(&self, labels: &[String], pattern: impl Fn(&Subject, usize, usize) -> f32) -> PathBuf {
        let example = Example {
            dataset: self.dataset.description.name.clone(),
            path: self.data().display().to_string(),
            labels: labels.to_vec(),
            ..Example::default()
        };
        let run = example.write(&self.folder.path().join("run"));
        let explain = run.join("explain");
        for name in ["importance", "patterns"] {
            fs::create_dir(explain.join(name)).unwrap();
        }
        let rows: Vec<String> = (1..)
            .zip(labels)
            .map(|(n, label)| format!("{n}\t{label}\n"))
            .collect();
        let rows = format!("volume\tlabel\n{}", rows.concat());
        fs::write(explain.join("patterns/labels.tsv"), rows).unwrap();
        for subject in &self.dataset.subjects {
            let voxels = subject.voxels.len();
            let file = |name: &str| explain.join(name).join(format!("{}.npy", subject.id));
            let importance: Array1<f32> = (0..voxels).map(|voxel| voxel as f32 / 1e4).collect();
            npy::write_npy_f32(file("importance"), importance.view()).unwrap();
            let patterns = Array2::from_shape_fn((labels.len(), voxels), |(label, voxel)| {
                pattern(subject, label, voxel)
            });
            npy::write_npy_f32(file("patterns"), patterns.view()).unwrap();
        }
        run
    }
}

fn report(run: &Path, surfaces: &[(Side, Surface)]) -> Report {
    let files = RunFiles::read(run).unwrap();
    Report::new(Request {
        run: &files,
        others: &[],
        images: &mut NoImages,
        quality: None,
        surfaces,
        tsne: false,
        command: "mused report RUN",
        out: &run.join("report.html"),
    })
    .unwrap()
}

fn figure<'r>(report: &'r Report, id: &str) -> &'r Figure {
    let found = report.figures().find(|figure| figure.id == id);
    found.unwrap_or_else(|| {
        let page = report.html();
        let missing: Vec<&str> = page.split("class=\"missing\">").skip(1).collect();
        let missing = missing.iter().filter_map(|text| text.split('<').next());
        panic!("no {id}: {:?}", missing.collect::<Vec<_>>())
    })
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("thing{n}")).collect()
}

/// A ball in millimetres of so many rings and as many vertices around each.
fn ball(middle: [f64; 3], radius: [f64; 3], rings: usize) -> Surface {
    let point = |vertex: usize| {
        let up = std::f64::consts::PI * (vertex / rings) as f64 / (rings - 1) as f64;
        let turn = std::f64::consts::TAU * (vertex % rings) as f64 / rings as f64;
        [
            middle[0] + radius[0] * up.sin() * turn.cos(),
            middle[1] + radius[1] * up.sin() * turn.sin(),
            middle[2] + radius[2] * up.cos(),
        ]
    };
    let corners = |triangle: usize| {
        let (ring, step, second) = (triangle / 2 / rings, triangle / 2 % rings, triangle % 2);
        let at = |ring: usize, step: usize| (ring * rings + step % rings) as u32;
        match second {
            0 => [at(ring, step), at(ring, step + 1), at(ring + 1, step)],
            _ => [
                at(ring + 1, step),
                at(ring, step + 1),
                at(ring + 1, step + 1),
            ],
        }
    };
    Surface {
        vertices: Array2::from_shape_fn((rings * rings, 3), |(v, axis)| point(v)[axis] as f32),
        triangles: Array2::from_shape_fn((2 * rings * (rings - 1), 3), |(t, c)| corners(t)[c]),
        structure: String::new(),
    }
}

#[test]
fn patterns_are_drawn_of_each_label_and_subject() {
    let simulated = Simulated::new(Kind::Volume);
    let labels = names(3);
    // Each label lies in a voxel of its own.
    let run = simulated.run(
        &labels,
        |_, label, voxel| if voxel == label { 1.0 } else { 0.1 },
    );
    let report = report(&run, &[]);
    let patterns = figure(&report, "patterns");
    assert!(patterns.svg.contains("mean over subjects: most at "));
    assert_eq!(patterns.table.rows.len(), 3 * 3);
    let page = report.html();
    for label in &labels {
        assert!(
            page.contains(&format!("{label}, mean over subjects: most at ")),
            "{label}"
        );
        assert!(
            page.contains(&format!("{label}, sub-02: most at ")),
            "{label}"
        );
    }
    let shown = page.split("<script").next().unwrap();
    assert!(shown.contains("Haufe") && !shown.contains("Not drawn"));
}

/// Pictures of a thousand labels of everybody would be hundreds of megabytes.
#[test]
fn of_many_labels_the_page_draws_what_it_has_room_for() {
    let simulated = Simulated::new(Kind::Volume);
    let labels = names(1000);
    let run = simulated.run(&labels, |_, label, voxel| {
        ((label * 31 + voxel * 17) % 101) as f32 - 50.0
    });
    let report = report(&run, &[]);
    let figures: Vec<&Figure> = report.figures().collect();
    assert!(figures.iter().any(|figure| figure.id == "patterns"));
    let page = report.html();
    let drawn = labels
        .iter()
        .filter(|label| page.contains(&format!("{label}, mean over subjects")));
    let drawn = drawn.count();
    assert!((100..1000).contains(&drawn), "{drawn}");
    assert!(page.contains("Not drawn on this page"));
    assert!(page.len() < 14 << 20, "{}", page.len());
}

#[test]
fn volumes_are_drawn_on_surfaces_of_their_space() {
    let simulated = Simulated::new(Kind::Volume);
    let subject = &simulated.dataset.subjects[0];
    let affine = subject.grid().unwrap().unwrap().affine;
    let at = |voxel: usize| {
        let place = subject.voxels[voxel].coordinate.unwrap();
        let row = |row: usize| -> f64 {
            (0..3)
                .map(|axis| affine[row][axis] * f64::from(place[axis]))
                .sum::<f64>()
                + affine[row][3]
        };
        [row(0), row(1), row(2)]
    };
    // The voxel furthest to the right, and balls around and far from all voxels.
    let voxels = 0..subject.voxels.len();
    let rightmost = voxels
        .max_by(|a, b| at(*a)[0].total_cmp(&at(*b)[0]))
        .unwrap();
    let [x, y, z] = at(rightmost);
    let near = ball([x - 10.0, y, z], [10.0; 3], 40);
    let far = ball([x + 500.0, y, z], [10.0; 3], 40);
    let run = simulated.run(&names(2), |_, label, voxel| {
        f32::from(label == 0 && voxel == rightmost)
    });
    let both = [(Side::Right, near.clone())];
    let drawn = report(&run, &both);
    let svg = &figure(&drawn, "patterns-surface").svg;
    assert!(svg.contains("right, from outside") && !svg.contains("left, from outside"));
    let row = &figure(&drawn, "patterns-surface").table.rows[0];
    let told = format!("{row:?}");
    let vertex = told
        .split("vertex ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let vertex: usize = vertex.parse().unwrap();
    assert!(near.vertices[[vertex, 0]] > (x - 5.0) as f32, "{told}");
    assert!(told.contains("on the right"));
    // Beside it the brain is still seen through.
    figure(&drawn, "patterns");
    figure(&drawn, "brain-surface");
    let said = report(&run, &[(Side::Left, far)]).html();
    assert!(said.contains("vertices lie near a voxel of sub-01"));
}

#[test]
fn vertices_are_drawn_on_their_surfaces() {
    let simulated = Simulated::new(Kind::Roi);
    let rings = 40;
    let voxels = simulated.dataset.subjects[0].voxels.len();
    assert!(voxels < rings * rings);
    let brain = BrainModels {
        models: vec![BrainModel {
            structure: "CIFTI_STRUCTURE_CORTEX_LEFT".to_owned(),
            start: 0,
            locations: Location::Surface {
                vertices: rings * rings,
                indices: (0..voxels).map(|place| place + 7).collect(),
            },
        }],
        volume: None,
    };
    for subject in &simulated.dataset.subjects {
        // People have voxels of their own number.
        let own = subject.voxels.len();
        let column = |place: usize| if place < own { (place + 1) as f32 } else { 0.0 };
        let columns: Vec<f32> = (0..voxels).map(column).collect();
        let folder = simulated.data().join("subjects").join(&subject.id);
        let maps = [("column", columns.as_slice())];
        write_scalars(folder.join("grayordinates.dscalar.nii"), &brain, &maps).unwrap();
    }
    let run = simulated.run(&names(2), |_, label, voxel| {
        f32::from(label == 0 && voxel == 30)
    });
    let without = report(&run, &[]).html();
    assert!(without.contains("--surface lh=FILE --surface rh=FILE"));
    let own = ball([-30.0, 0.0, 0.0], [25.0, 80.0, 50.0], rings);
    let drawn = report(&run, &[(Side::Left, own)]);
    let row = format!("{:?}", figure(&drawn, "patterns-surface").table.rows[0]);
    assert!(row.contains("vertex 37 on the left"), "{row}");
    let other = ball([-30.0, 0.0, 0.0], [25.0, 80.0, 50.0], rings + 1);
    let said = report(&run, &[(Side::Left, other)]).html();
    assert!(said.contains("expected a surface lh=FILE of 1600 vertices"));
}
