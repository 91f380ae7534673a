use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use mused_formats::npy::NpyMatrix;
use mused_formats::table::Table;
use mused_formats::{npy, plain, quoted};
use mused_run::Run;
use ndarray::{Array2, Ix1, Ix2};
use serde::Deserialize;

use super::Part;

/// The content of `explain.json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct About {
    pub(crate) schema: String,
    pub(crate) fold: usize,
    pub(crate) levels: Vec<String>,
    pub(crate) parts: Vec<String>,
    pub(crate) part_kind: String,
    /// Over which correlations are averaged; 0 of an explanation from before they were.
    pub(crate) folds: usize,
    /// Of all those folds.
    pub(crate) all_stimuli: usize,
    pub(crate) notes: Vec<String>,
}

impl About {
    fn read(run: &Run, path: &Path) -> Part<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|_| format!("`mused explain {}` has not been run", quoted(run.path())))?;
        let about: Self = serde_json::from_str(&text)
            .map_err(|error| format!("{}: {}", path.display(), plain(error)))?;
        if about.schema != SCHEMA {
            return Err(format!(
                "{}: expected schema {SCHEMA:?}, found {:?}; run `mused explain {}` again",
                path.display(),
                about.schema,
                quoted(run.path())
            ));
        }
        Ok(about)
    }
}

/// A row of `attention.tsv`.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    pub(crate) subject: String,
    pub(crate) level: String,
    pub(crate) part: String,
    pub(crate) weight: f64,
    pub(crate) sd: Option<f64>,
}

impl Attention {
    fn new(row: &Row<'_>) -> Option<Self> {
        Some(Self {
            subject: row.text("subject"),
            level: row.text("level"),
            part: row.text("part"),
            weight: row.number("weight")?,
            sd: row.number("sd"),
        })
    }
}

/// A row of `occlusion.tsv`.
#[derive(Clone, Debug)]
pub(crate) struct Occlusion {
    pub(crate) part: String,
    /// Empty: mean over subjects.
    pub(crate) subject: String,
    pub(crate) average_precision: Option<f64>,
    pub(crate) roc_auc: Option<f64>,
    pub(crate) ap_interval: Option<(f64, f64)>,
    pub(crate) auc_interval: Option<(f64, f64)>,
}

impl Occlusion {
    fn new(row: &Row<'_>) -> Option<Self> {
        Some(Self {
            part: row.text("part"),
            subject: row.text("subject"),
            average_precision: row.number("average_precision"),
            roc_auc: row.number("roc_auc"),
            ap_interval: row.number("ap_low").zip(row.number("ap_high")),
            auc_interval: row.number("auc_low").zip(row.number("auc_high")),
        })
    }
}

/// A row of `occlusion_labels.tsv`.
#[derive(Clone, Debug)]
pub(crate) struct LabelDrop {
    pub(crate) label: String,
    pub(crate) part: String,
    pub(crate) roc_auc: Option<f64>,
    pub(crate) interval: Option<(f64, f64)>,
}

impl LabelDrop {
    fn new(row: &Row<'_>) -> Option<Self> {
        Some(Self {
            label: row.text("label"),
            part: row.text("part"),
            roc_auc: row.number("roc_auc"),
            interval: row.number("auc_low").zip(row.number("auc_high")),
        })
    }

    /// What the label loses without the part; nothing where that is not known.
    pub(crate) fn drop(&self) -> f64 {
        self.roc_auc.unwrap_or(0.0)
    }
}

/// A row of `rdms.tsv`.
#[derive(Clone, Debug)]
pub(crate) struct RdmRow {
    pub(crate) file: String,
    pub(crate) kind: String,
    pub(crate) level: String,
    pub(crate) subject: String,
    pub(crate) part: String,
    pub(crate) guidance_high: Option<f64>,
    pub(crate) guidance_low: Option<f64>,
    pub(crate) ceiling: Option<(f64, f64)>,
}

impl RdmRow {
    fn new(row: &Row<'_>) -> Option<Self> {
        Some(Self {
            file: row.text("file"),
            kind: row.text("kind"),
            level: row.text("level"),
            subject: row.text("subject"),
            part: row.text("part"),
            guidance_high: row.number("guidance_high"),
            guidance_low: row.number("guidance_low"),
            ceiling: row.number("ceiling_lower").zip(row.number("ceiling_upper")),
        })
    }
}

/// A row of `tokens.tsv`.
#[derive(Clone, Debug)]
pub(crate) struct TokenRow {
    pub(crate) subject: String,
    pub(crate) stimulus: String,
}

impl TokenRow {
    fn new(row: &Row<'_>) -> Option<Self> {
        Some(Self {
            subject: row.text("subject"),
            stimulus: row.text("stimulus_id"),
        })
    }
}

/// What `mused explain` found in a run.
#[derive(Debug)]
pub(crate) struct Explain {
    root: PathBuf,
    pub(crate) about: About,
    pub(crate) attention: Part<Vec<Attention>>,
    pub(crate) occlusion: Part<Vec<Occlusion>>,
    pub(crate) label_drops: Part<Vec<LabelDrop>>,
    pub(crate) rdms: Part<Vec<RdmRow>>,
    /// Stimulus and its first label, in the order of the RDMs.
    pub(crate) rdm_stimuli: Vec<(String, String)>,
    pub(crate) token_rows: Vec<TokenRow>,
}

const SCHEMA: &str = "mused-explain/1";

impl Explain {
    pub(crate) fn read(run: &Run) -> Part<Self> {
        let root = run.explain_folder();
        let stimuli = rows(&root.join("rdm_stimuli.tsv"), |row| {
            Some((row.text("stimulus_id"), row.text("label")))
        });
        Ok(Self {
            about: About::read(run, &root.join("explain.json"))?,
            attention: rows(&root.join("attention.tsv"), Attention::new),
            occlusion: rows(&root.join("occlusion.tsv"), Occlusion::new),
            label_drops: rows(&root.join("occlusion_labels.tsv"), LabelDrop::new),
            rdms: rows(&root.join("rdms.tsv"), RdmRow::new),
            rdm_stimuli: stimuli.unwrap_or_default(),
            token_rows: rows(&root.join("tokens.tsv"), TokenRow::new).unwrap_or_default(),
            root,
        })
    }

    /// An RDM, in the order of `rdm_stimuli.tsv`.
    pub(crate) fn rdm(&self, row: &RdmRow) -> Part<Array2<f32>> {
        let name = row.file.strip_suffix(".npy").unwrap_or(&row.file);
        // A name, not a way out of the folder.
        if name.contains(['/', '\\']) {
            return Err(format!(
                "rdms.tsv names a file outside its folder: {name:?}"
            ));
        }
        let path = self.root.join("rdms").join(format!("{name}.npy"));
        let matrix = matrix(&path)?;
        if matrix.nrows() == matrix.ncols() && matrix.nrows() == self.rdm_stimuli.len() {
            return Ok(matrix);
        }
        let (n, shape) = (self.rdm_stimuli.len(), matrix.shape());
        Err(format!(
            "{}: expected {n} × {n} values, found {shape:?}",
            path.display()
        ))
    }

    /// Tokens of a level, a row for each of `token_rows`.
    pub(crate) fn tokens(&self, level: &str) -> Part<Array2<f32>> {
        let path = self.root.join(format!("tokens_{level}.npy"));
        let tokens = matrix(&path)?;
        if tokens.nrows() == self.token_rows.len() {
            return Ok(tokens);
        }
        Err(format!(
            "{}: expected {} rows, found {}",
            path.display(),
            self.token_rows.len(),
            tokens.nrows()
        ))
    }

    /// The row of each label in patterns.
    pub(crate) fn pattern_labels(&self) -> Part<Rc<HashMap<String, usize>>> {
        let names = rows(&self.root.join("patterns/labels.tsv"), |row| {
            Some(row.text("label"))
        })?;
        Ok(Rc::new(names.into_iter().zip(0..).collect()))
    }

    /// The patterns of a subject's voxels; `labels` are [`Self::pattern_labels`].
    pub(crate) fn patterns(
        &self,
        subject: &str,
        voxels: usize,
        labels: &Part<Rc<HashMap<String, usize>>>,
    ) -> Part<Patterns> {
        let rows = labels.clone()?;
        let path = self.root.join("patterns").join(format!("{subject}.npy"));
        let matrix = super::part(NpyMatrix::open(&path))?;
        let found = (matrix.rows(), matrix.columns());
        if found != (rows.len(), voxels) {
            return Err(format!(
                "{}: expected {} × {voxels} values, found {} × {}",
                path.display(),
                rows.len(),
                found.0,
                found.1
            ));
        }
        Ok(Patterns { rows, matrix })
    }

    /// The importance of a subject's voxels.
    pub(crate) fn importance(&self, subject: &str, voxels: usize) -> Part<Vec<f32>> {
        let path = self.root.join("importance").join(format!("{subject}.npy"));
        let values = npy::read_npy_f32(&path).map_err(|error| error.to_string())?;
        let shape = format!("{:?}", values.shape());
        let values = values.into_dimensionality::<Ix1>().ok();
        let values = values.filter(|values| values.len() == voxels);
        let values = values.ok_or_else(|| {
            format!(
                "{}: expected {voxels} values, found {shape}",
                path.display()
            )
        })?;
        Ok(values.to_vec())
    }
}

/// Patterns of a subject's voxels, a row a label, read when they are asked for.
#[derive(Debug)]
pub(crate) struct Patterns {
    rows: Rc<HashMap<String, usize>>,
    matrix: NpyMatrix,
}

impl Patterns {
    /// Of a label.
    pub(crate) fn of(&self, label: &str) -> Part<Vec<f32>> {
        let row = self.rows.get(label).copied();
        self.row(row.ok_or_else(|| format!("patterns of {label} are not known"))?)
    }

    /// The root mean square over labels.
    pub(crate) fn size(&self) -> Part<Vec<f32>> {
        let mut sums = vec![0.0_f64; self.matrix.columns()];
        for row in 0..self.matrix.rows() {
            for (sum, value) in sums.iter_mut().zip(self.row(row)?) {
                *sum += f64::from(value).powi(2);
            }
        }
        let count = self.matrix.rows() as f64;
        let each = sums.into_iter();
        Ok(each.map(|sum| (sum / count).sqrt() as f32).collect())
    }

    fn row(&self, row: usize) -> Part<Vec<f32>> {
        let mut values = vec![0.0; self.matrix.columns()];
        super::part(self.matrix.read_row(row, &mut values))?;
        Ok(values)
    }
}

fn matrix(path: &Path) -> Part<Array2<f32>> {
    let array = npy::read_npy_f32(path).map_err(|error| error.to_string())?;
    array
        .into_dimensionality::<Ix2>()
        .map_err(|error| format!("{}: {error}", path.display()))
}

struct Row<'t> {
    names: &'t [String],
    cells: Vec<&'t str>,
}

impl Row<'_> {
    fn text(&self, name: &str) -> String {
        let place = self.names.iter().position(|column| column == name);
        let cell = place.and_then(|place| self.cells.get(place)).copied();
        cell.filter(|cell| *cell != "n/a")
            .unwrap_or_default()
            .to_owned()
    }

    fn number(&self, name: &str) -> Option<f64> {
        let value: f64 = self.text(name).parse().ok()?;
        value.is_finite().then_some(value)
    }
}

fn rows<T>(path: &Path, read: impl Fn(&Row<'_>) -> Option<T>) -> Part<Vec<T>> {
    let table = Table::read(path).map_err(|error| error.to_string())?;
    let names = table.columns();
    let each = (0..table.rows()).filter_map(|row| table.row(row));
    let rows = each.map(|cells| Row {
        names,
        cells: cells.collect(),
    });
    Ok(rows.filter_map(|row| read(&row)).collect())
}
