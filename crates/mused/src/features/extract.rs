use std::path::{Path, PathBuf};

use mused_clip::{
    Images, RgbImage, Texts, Tokenizer, Tokens, encoding_bytes, settings_sha256, unit_rows,
    weights_sha256,
};
use mused_data::{Dataset, Level, Stimulus};
use mused_formats::sha256::hexadecimal;
use mused_kernels::{Cpu, KernelBackend, keep_freed_memory};
use mused_train::refuse_beyond;
use ndarray::{Array1, Array2, ArrayView1, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::frames::{Frames, Source};
use super::made::{Made, SETTINGS, reasons};
use super::store::Store;
use super::{Error, Result};
use crate::device::chosen;

/// Layer of the low-level features: the output of the image encoder's first block.
const LOW_LAYER: usize = 1;

/// What the high-level features are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guide {
    /// The mean of image and captions.
    Both,
    /// The image alone.
    Image,
    /// The captions alone.
    Text,
}

/// Which features of a dataset's stimuli to make.
#[derive(Clone, Debug)]
pub struct Extraction<'a> {
    /// The data; features go into its `features/`.
    pub dataset: &'a Dataset,
    /// Folders outside of the dataset from which files of stimuli may be read.
    pub allow: &'a [PathBuf],
    /// Model directory in the layout of Hugging Face.
    pub model: &'a Path,
    /// Feature sets are called NAME-low and NAME-high.
    pub name: &'a str,
    /// Low-level features, and how tokens become a vector.
    pub low: Option<Tokens>,
    /// High-level features, and what they are made of.
    pub high: Option<Guide>,
    /// Bound of every value, before normalisation.
    pub clip: Option<f32>,
    /// Whether each stimulus' features are divided by their norm.
    pub normalise: bool,
    /// Images, or captions, encoded at once.
    pub batch: usize,
}

/// How extraction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Names of the sets made, and of those that were there already, unchanged.
    Complete {
        /// Made or completed now.
        made: Vec<Made>,
        /// Of the same model, stimuli and options already.
        unchanged: Vec<String>,
    },
    /// Stopped on request; the same extraction goes on where it was.
    Interrupted,
}

/// One feature set in the making.
struct Job {
    level: Level,
    name: String,
    description: Map<String, Value>,
    store: Store,
}

impl Job {
    fn made(&self) -> Made {
        let before = self.store.replaced();
        let reasons = before.map_or_else(Vec::new, |before| reasons(before, &self.description));
        Made {
            name: self.name.clone(),
            reasons,
        }
    }

    fn not_finite(&self, stimulus: &Stimulus, value: f32) -> Error {
        let file = stimulus.file.as_deref().map(|file| format!(" ({file})"));
        let place = match self.level {
            Level::Low => format!("layer {LOW_LAYER} of the image encoder"),
            Level::High => "the space of images and captions".to_owned(),
        };
        Error::Request(format!(
            "stimulus {}{}: expected finite features from {place}, found {value}: the model's weights are damaged or \
             too large",
            stimulus.id,
            file.unwrap_or_default()
        ))
    }
}

/// Makes feature sets. `progress` is told the stimuli done and their number after each batch, and
/// returns whether to go on.
///
/// # Errors
/// When a stimulus lacks its image or caption, a file cannot be read, the model is not one or gives
/// values that are not finite, or features of the name exist that were not made here. Rows already written stay valid.
pub fn extract(
    request: &Extraction<'_>,
    progress: impl FnMut(usize, usize) -> bool,
) -> Result<Outcome> {
    let _kept = keep_freed_memory();
    on_device!(chosen(), Engine => extract_on::<Engine>(request, &Default::default(), progress))
}

fn extract_on<B: KernelBackend>(
    request: &Extraction<'_>,
    device: &B::Device,
    mut progress: impl FnMut(usize, usize) -> bool,
) -> Result<Outcome> {
    let stimuli = &request.dataset.stimuli;
    let root = root(request.dataset)?;
    let (with_images, with_texts) = (request.with_images(), request.with_texts());
    let mut sources = Vec::new();
    if with_images {
        let source = |stimulus| Source::of(stimulus, root, request.allow);
        sources = stimuli.iter().map(source).collect::<Result<_>>()?;
    }
    if with_texts {
        let silent: Vec<_> = stimuli.iter().filter(|s| s.captions.is_empty()).collect();
        if let Some(first) = silent.first() {
            return Err(Error::Request(format!(
                "{} of {} stimuli have no caption, the first is {}: add captions.tsv \
                 (stimulus_id, caption) or ask for --guidance image",
                silent.len(),
                stimuli.len(),
                first.id
            )));
        }
        let empty = |stimulus: &&Stimulus| {
            let mut captions = stimulus.captions.iter();
            captions.any(|caption| Tokenizer::is_empty_text(caption))
        };
        if let Some(stimulus) = stimuli.iter().find(empty) {
            return Err(Error::Request(format!(
                "{}: stimulus {} has an empty caption: write one or leave the row out",
                request.dataset.place(),
                stimulus.id
            )));
        }
    }
    let (mut jobs, unchanged) = plan(request, &sources)?;
    let made: Vec<Made> = jobs.iter().map(Job::made).collect();
    if jobs.is_empty() {
        return Ok(Outcome::Complete { made, unchanged });
    }
    if B::device_name(device).is_none() {
        check_memory(request)?;
    }
    let encoder = Encoder::<B> {
        images: with_images
            .then(|| Images::open(request.model, device))
            .transpose()?,
        texts: with_texts
            .then(|| Texts::open(request.model, device))
            .transpose()?,
        batch: request.batch.max(1),
        low: request.low,
        high: request.high,
    };
    let mut frames = Frames::default();
    let mut start = jobs.iter().map(|job| job.store.done()).min().unwrap_or(0);
    while start < stimuli.len() {
        let end = (start + encoder.batch).min(stimuli.len());
        let sums = encoder.images(sources.get(start..end).unwrap_or(&[]), &mut frames)?;
        let captions: Vec<&[String]> = stimuli[start..end]
            .iter()
            .map(|stimulus| stimulus.captions.as_slice())
            .collect();
        let texts = encoder.texts(&captions)?;
        for place in 0..end - start {
            for job in jobs
                .iter_mut()
                .filter(|job| job.store.done() == start + place)
            {
                let row = match (job.level, request.high) {
                    (Level::Low, _) => sums.low.row(place).to_owned(),
                    (Level::High, Some(Guide::Image)) => sums.joint.row(place).to_owned(),
                    (Level::High, Some(Guide::Text)) => texts.row(place).to_owned(),
                    (Level::High, _) => (&sums.joint.row(place) + &texts.row(place)) * 0.5,
                };
                if let Some(value) = row.iter().find(|value| !value.is_finite()) {
                    return Err(job.not_finite(&stimuli[start + place], *value));
                }
                job.store.append(finished(request, row).view())?;
            }
        }
        for job in &mut jobs {
            job.store.flush()?;
        }
        start = end;
        if !progress(start, stimuli.len()) && start < stimuli.len() {
            return Ok(Outcome::Interrupted);
        }
    }
    for job in jobs {
        job.store.finish(job.description)?;
    }
    Ok(Outcome::Complete { made, unchanged })
}

impl Extraction<'_> {
    fn with_images(&self) -> bool {
        self.low.is_some() || !matches!(self.high, None | Some(Guide::Text))
    }

    fn with_texts(&self) -> bool {
        matches!(self.high, Some(Guide::Both | Guide::Text))
    }

    /// About the bytes of memory that it takes on the processor, with so many images at once.
    ///
    /// # Errors
    /// A model whose configuration cannot be read.
    pub fn bytes(&self, batch: usize) -> Result<u64> {
        let (images, texts) = (self.with_images(), self.with_texts());
        Ok(encoding_bytes::<Cpu>(self.model, images, texts, batch)?)
    }
}

/// Refuses what there is no memory for, with what would fit.
fn check_memory(request: &Extraction<'_>) -> Result<()> {
    let what = format!("the encoders and {} images at once need", request.batch);
    let needs = |batch| request.bytes(batch).unwrap_or(u64::MAX);
    let refused = refuse_beyond(&what, request.bytes(request.batch)?, |free| {
        let mut fitting = request.batch / 2;
        while fitting > 0 && needs(fitting) > free {
            fitting /= 2;
        }
        Ok(match fitting {
            0 => "not even one fits: choose a smaller model".to_owned(),
            batch => format!("set --batch to {batch}"),
        })
    });
    refused.map_err(|error| Error::Request(error.to_string()))
}

/// Clipped and normalised as asked.
fn finished(request: &Extraction<'_>, mut row: Array1<f32>) -> Array1<f32> {
    if let Some(bound) = request.clip {
        row.mapv_inplace(|value| value.clamp(-bound, bound));
    }
    if request.normalise {
        let rows = unit_rows(row.insert_axis(Axis(0)));
        row = rows.row(0).to_owned();
    }
    row
}

/// Where features are written.
fn root(dataset: &Dataset) -> Result<&Path> {
    dataset.root().ok_or_else(|| {
        Error::Request(format!(
            "features are written into a dataset directory: write {} to one first",
            dataset.place()
        ))
    })
}

/// Opens the stores of the levels asked for; those that are complete and unchanged go by name.
fn plan(request: &Extraction<'_>, sources: &[Source]) -> Result<(Vec<Job>, Vec<String>)> {
    let weights = weights_sha256(request.model)?;
    let identities: Vec<String> = sources
        .par_iter()
        .map(Source::identity)
        .collect::<Result<_>>()?;
    let mut common = Map::new();
    common.insert("weights_sha256".into(), json!(weights));
    common.insert("clip".into(), json!(request.clip));
    common.insert("l2_normalised".into(), json!(request.normalise));
    let (mut jobs, mut unchanged) = (Vec::new(), Vec::new());
    let mut add = |level: Level, suffix: &str, more: Value, images, captions| -> Result<()> {
        let name = format!("{}-{suffix}", request.name);
        let mut description = common.clone();
        description.insert("level".into(), json!(level));
        let settings = settings_sha256(request.model, images, captions)?;
        description.insert(SETTINGS.into(), json!(settings));
        if let Value::Object(more) = more {
            description.extend(more);
        }
        let mut hash = Sha256::new();
        hash.update(json!(description).to_string());
        for (place, stimulus) in request.dataset.stimuli.iter().enumerate() {
            let captions = captions.then_some(&stimulus.captions);
            hash.update(json!([stimulus.id, identities.get(place), captions]).to_string());
        }
        let job = hexadecimal(&hash.finalize());
        // Its name says nothing about what a model makes.
        let model = request.model.file_name().map(|n| n.to_string_lossy());
        description.insert("model".into(), json!(model));
        match Store::open(root(request.dataset)?, &name, job)? {
            None => unchanged.push(name),
            Some(store) => jobs.push(Job {
                level,
                name,
                description,
                store,
            }),
        }
        Ok(())
    };
    if let Some(tokens) = request.low {
        let more = json!({
            "description": "CLIP image encoder, output of the first block",
            "layer": LOW_LAYER,
            "tokens": tokens,
        });
        add(Level::Low, "low", more, true, false)?;
    }
    if let Some(guide) = request.high {
        let what = match guide {
            Guide::Both => "mean of image and caption embeddings, each of norm 1",
            Guide::Image => "image embedding of norm 1",
            Guide::Text => "caption embedding of norm 1",
        };
        let more = json!({
            "description": format!("CLIP joint space, {what}"),
            "guidance": guide,
        });
        let (images, captions) = (guide != Guide::Text, guide != Guide::Image);
        add(Level::High, "high", more, images, captions)?;
    }
    Ok((jobs, unchanged))
}

struct Encoder<B: KernelBackend> {
    images: Option<Images<B>>,
    texts: Option<Texts<B>>,
    batch: usize,
    low: Option<Tokens>,
    high: Option<Guide>,
}

/// Features of a few stimuli, a row each; without columns where they were not asked for.
struct ImageRows {
    /// Mean over a stimulus' images.
    low: Array2<f32>,
    /// In the joint space, of norm 1: the direction of the mean over its images.
    joint: Array2<f32>,
}

impl<B: KernelBackend> Encoder<B> {
    fn images(&self, sources: &[Source], frames: &mut Frames) -> Result<ImageRows> {
        let mut low = Means::new(sources.len());
        let mut joint = Means::new(sources.len());
        let Some(encoder) = &self.images else {
            return Ok(ImageRows {
                low: low.rows(),
                joint: joint.rows(),
            });
        };
        let with_joint = matches!(self.high, Some(Guide::Both | Guide::Image));
        let layer = self.low.map(|tokens| (LOW_LAYER, tokens));
        let mut encode = |owners: &[usize], images: &[RgbImage]| -> Result<()> {
            let found = encoder.features(images, layer, with_joint)?;
            if let Some(rows) = found.layer {
                low.add(owners, &rows);
            }
            if let Some(rows) = found.projected {
                joint.add(owners, &unit_rows(rows));
            }
            Ok(())
        };
        let files: Option<Vec<_>> = sources
            .iter()
            .map(|source| match source {
                Source::Image(path) => Some(path),
                _ => None,
            })
            .collect();
        if let Some(files) = files {
            let images: Vec<RgbImage> = files
                .par_iter()
                .map(RgbImage::open)
                .collect::<mused_clip::Result<_>>()?;
            let owners: Vec<usize> = (0..images.len()).collect();
            encode(&owners, &images)?;
        } else {
            let (mut owners, mut waiting) = (Vec::new(), Vec::new());
            for (owner, source) in sources.iter().enumerate() {
                frames.each(source, |image| {
                    owners.push(owner);
                    waiting.push(image);
                    if waiting.len() == self.batch {
                        encode(&owners, &waiting)?;
                        owners.clear();
                        waiting.clear();
                    }
                    Ok(())
                })?;
            }
            if !waiting.is_empty() {
                encode(&owners, &waiting)?;
            }
        }
        Ok(ImageRows {
            low: low.rows(),
            joint: unit_rows(joint.rows()),
        })
    }

    /// Caption embeddings of norm 1: the direction of the mean over a stimulus' captions.
    fn texts(&self, captions: &[&[String]]) -> Result<Array2<f32>> {
        let mut means = Means::new(captions.len());
        let Some(encoder) = &self.texts else {
            return Ok(means.rows());
        };
        let all: Vec<(usize, &String)> = captions
            .iter()
            .enumerate()
            .flat_map(|(owner, captions)| captions.iter().map(move |caption| (owner, caption)))
            .collect();
        for batch in all.chunks(self.batch) {
            let (owners, texts): (Vec<usize>, Vec<&String>) = batch.iter().copied().unzip();
            means.add(&owners, &unit_rows(encoder.projected(&texts)?));
        }
        Ok(unit_rows(means.rows()))
    }
}

/// Means over the rows that belong to each of a few owners.
struct Means {
    sums: Vec<Option<(Array1<f32>, f32)>>,
}

impl Means {
    fn new(owners: usize) -> Self {
        Self {
            sums: vec![None; owners],
        }
    }

    fn add(&mut self, owners: &[usize], rows: &Array2<f32>) {
        for (&owner, row) in owners.iter().zip(rows.rows()) {
            match &mut self.sums[owner] {
                Some((sum, count)) => {
                    *sum += &row;
                    *count += 1.0;
                }
                none => *none = Some((row.to_owned(), 1.0)),
            }
        }
    }

    fn rows(&mut self) -> Array2<f32> {
        let mean = |sum: &Option<(Array1<f32>, f32)>| sum.as_ref().map(|(sum, n)| sum / *n);
        let means: Vec<Array1<f32>> = self.sums.iter().filter_map(mean).collect();
        let width = means.first().map_or(0, Array1::len);
        let mut rows = Array2::zeros((self.sums.len(), width));
        for (mut row, mean) in rows.rows_mut().into_iter().zip(&means) {
            row.assign(&ArrayView1::from(mean));
        }
        rows
    }
}
