//! Imports preprocessed BOLD runs with their events: `mused import bids ROOT OUT`.
//!
//! A trial's response is the mean over a window after its onset, or a least-squares beta. Runs are
//! read volume by volume: memory holds one run's responses, trials × voxels, never a run.
//!
//! What a stimulus is follows from the events. Where they name a file (`stim_file`), that is the
//! stimulus: shown again in another run it is a repeat, and it is a group of its own. Where they have
//! a `trial_type` alone, every event is a stimulus of its own, for nothing says that two of them
//! showed the same; those of a run, over all subjects, are one group, so that folds leave whole runs out.

mod design;
mod entities;
mod events;
mod regions;
mod responses;
mod runs;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use mused_formats::npy::{Dtype, NpyMatrix, NpyWriter};
use ndarray::Array2;

use crate::fingerprint::{hexadecimal, of_import, sha256_file};
use crate::import_checks::{Check, Findings, ResponseRows, SubjectsWritten, VoxelFlaws};
use crate::{
    DatasetWriter, Description, Error, Imported, Kind, Labels, Response, Result, Source, Stimulus,
    Trial,
};
use events::Event;
use runs::Run;

/// Responses of a run in memory at once: 512 MB in double precision.
const MOST_VALUES: usize = 1 << 26;

/// How a trial's response is read from the time series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Estimate {
    /// Mean of the volumes from one number of seconds after the onset to before another; `None` = from 4
    /// seconds, for as long as the event lasts and at least 4 seconds.
    Window(Option<[f64; 2]>),
    /// Least-squares betas, all trials of a run in one model.
    Lsa,
    /// Least-squares betas, a model a trial: the trial, and all others as one regressor.
    Lss,
}

/// Slow drift that a model of betas allows for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drift {
    /// A constant alone.
    None,
    /// Cosines slower than `high_pass`, in Hz.
    Cosine {
        /// The cut-off, e.g. 0.01.
        high_pass: f64,
    },
    /// Powers of time up to `order`.
    Polynomial {
        /// Highest power.
        order: u32,
    },
}

/// Which voxels are imported, by region. Paths may hold `{subject}`, and start from the derivatives
/// or the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Region {
    /// A mask of zeros and ones.
    Mask {
        /// Name of the region.
        name: String,
        /// Pattern of the mask's path.
        path: String,
    },
    /// Whole numbers, one a region; 0 is none.
    Atlas {
        /// Pattern of the image's path.
        path: String,
        /// Pattern of a table with columns `index` and `name`; regions it does not list are left out.
        names: Option<String>,
    },
}

/// Where files lie that have no BIDS names: patterns below the root with `{subject}`, `{session}`,
/// `{task}` and `{run}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePatterns {
    /// The runs.
    pub bold: String,
    /// Their events.
    pub events: String,
    /// Their confounds.
    pub confounds: Option<String>,
}

/// What to import and how.
#[derive(Clone, Debug)]
pub struct BidsConfig {
    /// Name of the dataset; the root folder's where `None`.
    pub name: Option<String>,
    /// Licence of the data.
    pub licence: Option<String>,
    /// How to cite the data.
    pub citation: Option<String>,
    /// Folder of the preprocessed runs, where it is not the root.
    pub derivatives: Option<PathBuf>,
    /// Where files without BIDS names lie.
    pub patterns: Option<FilePatterns>,
    /// Subjects, without `sub-`; empty = all.
    pub subjects: Vec<String>,
    /// The task, where there are several.
    pub task: Option<String>,
    /// The space, where there are several.
    pub space: Option<String>,
    /// Regions; empty = every voxel, as region `brain`.
    pub regions: Vec<Region>,
    /// How responses are read.
    pub estimate: Estimate,
    /// Drift of a model of betas.
    pub drift: Drift,
    /// Confound columns in a model of betas; a `*` at the end stands for any ending.
    pub confounds: Vec<String>,
    /// Whether each voxel's time series is brought to mean 0 and variance 1 in each run.
    pub zscore: bool,
    /// Columns of the events that hold labels, several in a cell separated by `;` or `,`.
    pub label_columns: Vec<String>,
    /// Column that names the stimulus; `None` = `stim_file` where there is one.
    pub stimulus_column: Option<String>,
    /// Values of `trial_type` whose events are left out, and labels that are.
    pub exclude: Vec<String>,
    /// Values of `trial_type` that are no trials but in the model of betas, a regressor each.
    pub nuisance: Vec<String>,
    /// Events of one kind at most this many seconds after one another are one block.
    pub merge_gap: Option<f64>,
    /// Repetition time in seconds, against what files say.
    pub tr: Option<f64>,
    /// Checks that become warnings.
    pub allow: Vec<Check>,
}

impl Default for BidsConfig {
    fn default() -> Self {
        Self {
            name: None,
            licence: None,
            citation: None,
            derivatives: None,
            patterns: None,
            subjects: Vec::new(),
            task: None,
            space: None,
            regions: Vec::new(),
            estimate: Estimate::Window(None),
            drift: Drift::Cosine { high_pass: 0.01 },
            confounds: Vec::new(),
            zscore: false,
            label_columns: vec!["trial_type".to_owned()],
            stimulus_column: None,
            exclude: Vec::new(),
            nuisance: Vec::new(),
            merge_gap: None,
            tr: None,
            allow: Vec::new(),
        }
    }
}

/// Makes a dataset directory at `out` of the runs below `root`. `progress` is told how many of how
/// many runs are done.
///
/// # Errors
/// Names the file, what was expected and what was found; a named check says how to let it pass.
/// Nothing is left at `out` then.
pub fn import(
    root: &Path,
    out: &Path,
    config: &BidsConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported> {
    import_in_portions(root, out, config, MOST_VALUES, progress)
}

/// [`import`] with at most so many responses of a run in memory; where a run has more, it is read once for every
/// portion of its voxels.
fn import_in_portions(
    root: &Path,
    out: &Path,
    config: &BidsConfig,
    most_values: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported> {
    check(config)?;
    let mut findings = Findings::new(&config.allow);
    let subjects = runs::find(root, config, &mut findings)?;
    let mut events = BTreeMap::new();
    for run in subjects.values().flatten() {
        events.insert(&run.bold, events::read(run, config, &mut findings)?);
    }
    events::check_names(config, events.values())?;
    let (stimuli, labels) = stimuli(root, &subjects, &events, &mut findings)?;
    let index: HashMap<String, usize> = stimuli.iter().map(|s| s.id.clone()).zip(0..).collect();

    let mut sources = BTreeSet::new();
    for run in subjects.values().flatten() {
        let confounds = run
            .confounds
            .iter()
            .filter(|_| !config.confounds.is_empty());
        sources.extend(
            [&run.bold, &run.events]
                .into_iter()
                .chain(confounds)
                .cloned(),
        );
    }
    let mut grids = BTreeMap::new();
    for (subject, runs) in &subjects {
        let chosen = regions::select(root, config, subject, runs, &mut findings)?;
        sources.extend(chosen.files.iter().cloned());
        grids.insert(subject, chosen);
    }
    let trs: Vec<f64> = subjects
        .values()
        .flatten()
        .map(|run| run.timing.tr)
        .collect();
    let tr = trs
        .first()
        .copied()
        .filter(|tr| trs.iter().all(|other| other == tr));
    let mut imported = Imported {
        stimuli: stimuli.len(),
        labels: labels.names.clone(),
        ..Imported::default()
    };
    let mut description = describe(root, config, tr);
    description.sources = sources
        .iter()
        .map(|path| source(root, config, path))
        .collect::<Result<_>>()?;
    // By the recorded path: the order of whole paths depends on where the files lie.
    description.sources.sort_by(|a, b| a.path.cmp(&b.path));

    let fingerprint = of_import(config, sources.iter().map(PathBuf::as_path))?;
    let mut writer = DatasetWriter::resume(out, &fingerprint, description, stimuli, &labels)?;
    let mut written = SubjectsWritten::default();
    let total = trs.len();
    let mut done = 0;
    for (subject, runs) in &subjects {
        let chosen = &grids[subject];
        let trials = trials(runs, &events, &index);
        let name = format!("sub-{subject}");
        if let Some(kept) = written.completed(&mut writer, &name, &mut findings)? {
            done += runs.len();
            let counts = [runs.len(), trials.len(), kept];
            imported.subjects.push((name, counts));
            continue;
        }
        let mut flaws = VoxelFlaws::none(0);
        let mut portions = Portions(Vec::new());
        let most_trials = runs.iter().map(|run| events[&run.bold].trials.len());
        let size = (most_values / most_trials.max().unwrap_or(0).max(1)).max(1);
        let passes = chosen.mask.len().div_ceil(size);
        for (number, mask) in chosen.mask.chunks(size).enumerate() {
            let scratch = writer.scratch(&format!("responses-{number}.npy"));
            let mut own = VoxelFlaws::none(mask.len());
            let mut spill = NpyWriter::create(&scratch, Dtype::F32, trials.len(), mask.len())?;
            for (index, run) in runs.iter().enumerate() {
                progress(done + (number * runs.len() + index) / passes, total);
                let rows = responses::read(run, &events[&run.bold], mask, config, &mut own)?;
                for row in rows.rows() {
                    spill.write_row(&row.iter().map(|value| *value as f32).collect::<Vec<_>>())?;
                }
            }
            spill.finish()?;
            portions.0.push((NpyMatrix::open(&scratch)?, scratch));
            flaws.nan.extend(own.nan);
            flaws.constant.extend(own.constant);
        }
        done += runs.len();
        let rows = (&portions as &dyn ResponseRows, Dtype::F32);
        let kept = written.write(
            &mut writer,
            &name,
            &trials,
            &chosen.voxels,
            rows,
            &flaws,
            &mut findings,
        )?;
        portions.remove()?;
        if let Some(run) = runs.first() {
            let voxels = chosen.voxels.iter().enumerate();
            let usable = voxels.filter(|(voxel, _)| flaws.usable(*voxel));
            let usable: Vec<_> = usable.map(|(_, voxel)| voxel).collect();
            writer.mask(&name, &run.grid, &usable)?;
        }
        written.complete(&writer, &name)?;
        imported
            .subjects
            .push((name, [runs.len(), trials.len(), kept]));
    }
    progress(total, total);
    imported.warnings = findings.take();
    writer.warn(imported.warnings.clone());
    writer.finish()?;
    Ok(imported)
}

/// Responses of all runs, some voxels after others, and the files they are in.
struct Portions(Vec<(NpyMatrix, PathBuf)>);

impl ResponseRows for Portions {
    fn copy_row(&self, row: usize, out: &mut [f32]) -> Result<()> {
        let mut rest = out;
        for (portion, _) in &self.0 {
            let (own, after) = rest.split_at_mut(portion.columns());
            portion.read_row(row, own)?;
            rest = after;
        }
        Ok(())
    }
}

impl Portions {
    fn remove(self) -> Result<()> {
        for (matrix, path) in self.0 {
            drop(matrix);
            std::fs::remove_file(&path).map_err(Error::io("cannot remove", &path))?;
        }
        Ok(())
    }
}

fn check(config: &BidsConfig) -> Result<()> {
    let refuse = |message: String| Err(Error::Request(message));
    if let Estimate::Window(Some([from, to])) = config.estimate
        && !(from.is_finite() && to.is_finite() && from < to)
    {
        return refuse(format!(
            "expected a window FROM,TO with FROM before TO, found {from},{to}"
        ));
    }
    if let Drift::Cosine { high_pass } = config.drift
        && !(high_pass.is_finite() && high_pass > 0.0)
    {
        return refuse(format!(
            "expected a high-pass above 0 Hz, found {high_pass}"
        ));
    }
    if let Some(gap) = config
        .merge_gap
        .filter(|gap| !(gap.is_finite() && *gap >= 0.0))
    {
        return refuse(format!("expected a gap of 0 seconds or more, found {gap}"));
    }
    let window = matches!(config.estimate, Estimate::Window(_));
    if window && !(config.confounds.is_empty() && config.nuisance.is_empty()) {
        let message = "confounds and nuisance events are for models of betas (lsa, lss): a window's \
                       mean has no model";
        return refuse(message.to_owned());
    }
    let mut nuisance = config.nuisance.iter();
    if let Some(both) = nuisance.find(|name| config.exclude.contains(name)) {
        return refuse(format!(
            "expected {both:?} either to be excluded or to be nuisance, found both"
        ));
    }
    if config.label_columns.is_empty() {
        return refuse("expected at least one column with labels, found none".to_owned());
    }
    Ok(())
}

fn describe(root: &Path, config: &BidsConfig, tr: Option<f64>) -> Description {
    let name = config.name.clone().or_else(|| {
        let root = root.canonicalize().ok()?;
        Some(root.file_name()?.to_str()?.to_owned())
    });
    let name = name.unwrap_or_else(|| "imported".to_owned());
    let mut description = Description::new(name, Kind::Roi, Response::Voxels);
    description.space.clone_from(&config.space);
    description.tr = tr;
    description.licence.clone_from(&config.licence);
    description.citation.clone_from(&config.citation);
    let drift = match config.drift {
        Drift::None => "no drift".to_owned(),
        Drift::Cosine { high_pass } => format!("cosine drift below {high_pass} Hz"),
        Drift::Polynomial { order } => format!("polynomial drift of order {order}"),
    };
    let model = |which: &str| {
        let confounds = config.confounds.join(", ");
        let confounds = if confounds.is_empty() {
            "none"
        } else {
            &confounds
        };
        format!("{which} betas, canonical double-gamma response, {drift}, confounds: {confounds}")
    };
    let mut processing = match config.estimate {
        Estimate::Window(None) => {
            "mean from 4 s after onset for the event's duration, at least 4 s".to_owned()
        }
        Estimate::Window(Some([from, to])) => format!("mean from {from} to {to} s after onset"),
        Estimate::Lsa => model("least-squares (all trials in one model)"),
        Estimate::Lss => model("least-squares (one model a trial)"),
    };
    if config.zscore {
        processing += "; time series z-scored within run";
    }
    description.processing = Some(processing);
    description
}

fn source(root: &Path, config: &BidsConfig, path: &Path) -> Result<Source> {
    let relative = path
        .strip_prefix(root)
        .ok()
        .or_else(|| path.strip_prefix(config.derivatives.as_deref()?).ok())
        .or_else(|| path.file_name().map(Path::new))
        .unwrap_or(path);
    Ok(Source {
        path: relative.to_string_lossy().into_owned(),
        sha256: hexadecimal(&sha256_file(path)?),
    })
}

type EventsOf<'r> = BTreeMap<&'r PathBuf, events::RunEvents>;

/// Stimuli in the order of their first showing, with the labels of all their trials.
fn stimuli(
    root: &Path,
    subjects: &BTreeMap<String, Vec<Run>>,
    events: &EventsOf<'_>,
    findings: &mut Findings,
) -> Result<(Vec<Stimulus>, Labels)> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut stimuli: Vec<Stimulus> = Vec::new();
    let mut has: Vec<BTreeSet<String>> = Vec::new();
    let mut contradicted = BTreeSet::new();
    for run in subjects.values().flatten() {
        for event in &events[&run.bold].trials {
            let labels: BTreeSet<String> = event.labels.iter().cloned().collect();
            match places.get(event.stimulus.as_str()) {
                None => {
                    places.insert(&event.stimulus, stimuli.len());
                    let mut stimulus = Stimulus::new(&event.stimulus);
                    if event.named {
                        let file = root.join("stimuli").join(&event.stimulus);
                        let file = file.canonicalize().ok().filter(|file| file.is_file());
                        stimulus.file = file.and_then(|file| file.to_str().map(str::to_owned));
                    } else {
                        stimulus.group.clone_from(&run.group);
                    }
                    stimuli.push(stimulus);
                    has.push(labels);
                }
                Some(&place) if has[place] != labels => {
                    let list = |labels: &BTreeSet<String>| {
                        labels.iter().cloned().collect::<Vec<_>>().join(", ")
                    };
                    let message = format!(
                        "{}: expected the labels {} of stimulus {}, as in its first trial, found {} \
                         at {} s",
                        run.events.display(),
                        list(&has[place]),
                        event.stimulus,
                        list(&labels),
                        event.interval.onset
                    );
                    if contradicted.insert(place) {
                        findings.report(Check::LabelConflict, message)?;
                    }
                    has[place].extend(labels);
                }
                Some(_) => {}
            }
        }
    }
    let names: BTreeSet<&String> = has.iter().flatten().collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let matrix = Array2::from_shape_fn((stimuli.len(), names.len()), |(row, column)| {
        u8::from(has[row].contains(&names[column]))
    });
    Ok((stimuli, Labels { names, matrix }))
}

fn trials(runs: &[Run], events: &EventsOf<'_>, index: &HashMap<String, usize>) -> Vec<Trial> {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    let mut trials = Vec::new();
    for run in runs {
        for event in &events[&run.bold].trials {
            let repeat = seen.entry(&event.stimulus).or_default();
            *repeat += 1;
            trials.push(Trial {
                stimulus: index.get(&event.stimulus).copied().unwrap_or_default(),
                session: run.numbers[0],
                run: run.numbers[1],
                onset: Some(event.interval.onset),
                repeat: *repeat,
            });
        }
    }
    trials
}

fn intervals(events: &[Event]) -> Vec<design::Interval> {
    events.iter().map(|event| event.interval).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_of_the_voxels_give_the_same_files() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/bids"));
        let config = BidsConfig {
            derivatives: Some(root.join("derivatives/prep")),
            estimate: Estimate::Lss,
            zscore: true,
            allow: vec![Check::NanVoxels, Check::ConstantVoxels, Check::TrHeader],
            ..BidsConfig::default()
        };
        let folder = tempfile::TempDir::new().unwrap();
        let import = |name: &str, most_values| {
            let out = folder.path().join(name);
            let mut last = (0, 0);
            let imported = import_in_portions(root, &out, &config, most_values, &mut |done, of| {
                assert!(
                    done >= last.0 && done <= of,
                    "{done} of {of} after {last:?}"
                );
                last = (done, of);
            });
            imported.unwrap();
            assert_eq!(last.0, last.1);
            out
        };
        let (whole, parts) = (import("whole", MOST_VALUES), import("parts", 40));
        for subject in std::fs::read_dir(whole.join("subjects")).unwrap() {
            let subject = subject.unwrap().file_name();
            for file in ["responses.npy", "voxels.tsv", "mask.nii.gz"] {
                let read = |dataset: &Path| {
                    std::fs::read(dataset.join("subjects").join(&subject).join(file)).unwrap()
                };
                assert_eq!(read(&whole), read(&parts), "{file}");
            }
        }
    }
}
