use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use mused_data::{Dataset, Guidance, GuidanceTarget, Kind, Level, response_rdms};
use mused_formats::npy;
use mused_formats::table::TableWriter;
use mused_run::GuidanceConfig;
use mused_stats::ceiling::{RdmCeiling, rdm_ceiling};
use mused_stats::rdm::{condensed, cosine_rdm, spearman};
use mused_stats::{evenly, summary};
use ndarray::{Array2, ArrayView1, Axis};

use super::output::{create, number};
use super::rows::TestRows;
use super::tokens::{FoldTokens, LevelTokens};
use crate::{Result, TokenGeometry};

/// Most stimuli of an RDM: pictures of more cannot be read.
const MOST_STIMULI: usize = 200;

/// Fewest stimuli whose dissimilarities can be ranked against each other.
const LEAST_STIMULI: usize = 3;

/// Makes the RDMs of a fold's test stimuli.
pub(super) struct Geometry<'a> {
    dataset: &'a Dataset,
    /// Where matrices are written; only correlations are asked for without it.
    folder: Option<&'a Path>,
    rows: &'a TestRows,
    fold: usize,
    /// In the order of all RDMs, with the label each is sorted by.
    stimuli: Vec<(usize, Option<usize>)>,
    /// The guiding RDMs of the high and the low level.
    guides: [Option<Array2<f64>>; 2],
    found: Vec<Found>,
}

/// What an RDM is of.
#[derive(Clone, Debug, PartialEq)]
struct Name {
    file: String,
    kind: &'static str,
    level: &'static str,
    subject: String,
    part: String,
}

/// A row of `rdms.tsv`: what an RDM is of, its correlation with the guiding ones of the high and the low level, and the
/// noise ceiling of its mean over subjects.
#[derive(Clone, Debug)]
pub(super) struct Found {
    name: Name,
    values: [Option<f64>; 4],
}

/// Of each RDM of the fold that is shown the mean over all folds that have it.
pub(super) fn over_folds(shown: Vec<Found>, others: &[Found]) -> Vec<Found> {
    let mean = |own: Found| {
        let alike = others.iter().filter(|other| other.name == own.name);
        let all: Vec<[Option<f64>; 4]> = alike
            .map(|other| other.values)
            .chain([own.values])
            .collect();
        let value = |place: usize| {
            let known: Vec<f64> = all.iter().filter_map(|values| values[place]).collect();
            summary::mean(&known)
        };
        Found {
            values: std::array::from_fn(value),
            name: own.name,
        }
    };
    shown.into_iter().map(mean).collect()
}

/// Writes `rdms.tsv`.
pub(super) fn write(folder: &Path, found: &[Found]) -> Result<()> {
    let mut table = TableWriter::create(
        folder.join("rdms.tsv"),
        &[
            "file",
            "kind",
            "level",
            "subject",
            "part",
            "guidance_high",
            "guidance_low",
            "ceiling_lower",
            "ceiling_upper",
        ],
    )?;
    for Found { name, values } in found {
        let [high, low, lower, upper] = values.map(number);
        table.write_row([
            name.file.as_str(),
            name.kind,
            name.level,
            &name.subject,
            &name.part,
            &high,
            &low,
            &lower,
            &upper,
        ])?;
    }
    Ok(table.finish()?)
}

/// Correlations of the mean tokens with guidance, of those rows.
pub(super) fn of_tokens(found: &[Found]) -> Vec<TokenGeometry> {
    let means = found
        .iter()
        .filter(|found| found.name.kind == "token" && found.name.subject.is_empty());
    let geometry = |found: &Found| TokenGeometry {
        level: found.name.level,
        guidance_high: found.values[0],
        guidance_low: found.values[1],
    };
    means.map(geometry).collect()
}

impl<'a> Geometry<'a> {
    /// Chooses the stimuli and writes `rdm_stimuli.tsv` to the folder, where there is one. `None` where there are too few.
    pub(super) fn new(
        dataset: &'a Dataset,
        folder: Option<&'a Path>,
        rows: &'a TestRows,
        fold: usize,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>> {
        let stimuli = common(dataset, rows, fold);
        if stimuli.len() < LEAST_STIMULI {
            notes.push(format!(
                "fold {fold} has {} test stimuli that every subject saw: no RDMs of fewer than {LEAST_STIMULI}",
                stimuli.len()
            ));
            return Ok(None);
        }
        if let Some(folder) = folder {
            let mut table =
                TableWriter::create(folder.join("rdm_stimuli.tsv"), &["stimulus_id", "label"])?;
            for &(stimulus, label) in &stimuli {
                let label = label.map_or("", |label| &dataset.labels.names[label]);
                table.write_row([dataset.stimuli[stimulus].id.as_str(), label])?;
            }
            table.finish()?;
            create(&folder.join("rdms"))?;
        }
        Ok(Some(Self {
            dataset,
            folder,
            rows,
            fold,
            stimuli,
            guides: [None, None],
            found: Vec::new(),
        }))
    }

    /// Number of stimuli.
    pub(super) fn len(&self) -> usize {
        self.stimuli.len()
    }

    /// The RDMs that guided training, or that the dataset has to guide by.
    pub(super) fn guidance(
        &mut self,
        config: &GuidanceConfig,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let stimuli: Vec<usize> = self.stimuli.iter().map(|(stimulus, _)| *stimulus).collect();
        let levels = [
            (Level::High, "high", &config.high),
            (Level::Low, "low", &config.low),
        ];
        for (place, (level, name, choice)) in levels.into_iter().enumerate() {
            let loaded = if choice == "none" {
                // An unguided run is worth comparing with what would have guided it.
                Guidance::load(self.dataset, level, "auto").unwrap_or(None)
            } else {
                Guidance::load(self.dataset, level, choice)?
            };
            let Some(guidance) = loaded else {
                notes.push(format!(
                    "no guidance of the {name} level (guidance.{name} = {choice:?}): nothing to hold RDMs against"
                ));
                continue;
            };
            if choice == "none" {
                notes.push(format!(
                    "the {name} level was not guided (guidance.{name} = \"none\"): RDMs are held against the features \
                     of the dataset that would have guided it"
                ));
            }
            let mut rdm = match guidance.target(&stimuli) {
                GuidanceTarget::Rdm(rdm) => rdm.mapv(f64::from),
                GuidanceTarget::Features(features) => cosine_rdm(features.mapv(f64::from).view()),
            };
            rdm.diag_mut().fill(0.0);
            self.guides[place] = Some(rdm);
        }
        for (place, level) in ["high", "low"].into_iter().enumerate() {
            if let Some(rdm) = self.guides[place].clone() {
                self.write("guidance", level, "", &rdm)?;
            }
        }
        Ok(())
    }

    /// 1 - Jaccard's index of the label vectors; stimuli without labels are alike.
    pub(super) fn labels(&mut self) -> Result<()> {
        let matrix = &self.dataset.labels.matrix;
        let count = self.stimuli.len();
        let rdm = Array2::from_shape_fn((count, count), |(a, b)| {
            let (a, b) = (self.stimuli[a].0, self.stimuli[b].0);
            jaccard_distance(matrix.row(a), matrix.row(b))
        });
        self.write("label", "", "", &rdm)
    }

    /// Cosine dissimilarities of subject tokens, as training has them: each subject's, and their mean.
    pub(super) fn tokens(&mut self, tokens: &FoldTokens, notes: &mut Vec<String>) -> Result<()> {
        for level in tokens.levels()? {
            let mut rdms = Vec::new();
            for subject in self.subjects() {
                let Some(rdm) = self.token_rdm(&level, subject) else {
                    continue;
                };
                let id = &self.dataset.subjects[subject].id;
                self.write("token", level.level, id, &rdm)?;
                rdms.push(rdm);
            }
            let Some(mean) = mean(&rdms) else { continue };
            let ceiling = self.ceiling(&rdms, &format!("{}-level tokens", level.level), notes);
            let guided = self.mean_with_guidance(&rdms)?;
            let name = Name {
                file: format!("token-{}", level.level),
                kind: "token",
                level: level.level,
                subject: String::new(),
                part: String::new(),
            };
            self.write_named(name, &mean, guided, ceiling)?;
        }
        Ok(())
    }

    fn token_rdm(&self, level: &LevelTokens, subject: usize) -> Option<Array2<f64>> {
        let samples = self.rows.samples.iter().zip(&self.rows.folds).enumerate();
        let row_of: HashMap<usize, usize> = samples
            .filter(|(_, (sample, fold))| **fold == self.fold && sample.subject == subject)
            .map(|(row, (sample, _))| (sample.stimulus, row))
            .collect();
        let row = |(stimulus, _): &(usize, Option<usize>)| row_of.get(stimulus).copied();
        let rows: Option<Vec<usize>> = self.stimuli.iter().map(row).collect();
        let tokens = level.select(&rows?)?.mapv(f64::from);
        let mut rdm = cosine_rdm(tokens.view());
        rdm.diag_mut().fill(0.0);
        Some(rdm)
    }

    /// 1 - Pearson's r of responses, region by region, mean over subjects.
    pub(super) fn regions(&mut self, notes: &mut Vec<String>) -> Result<()> {
        if self.dataset.description.kind != Kind::Roi {
            notes.push("the dataset has no regions: no RDMs of regions".to_owned());
            return Ok(());
        }
        let stimuli: Vec<usize> = self.stimuli.iter().map(|(stimulus, _)| *stimulus).collect();
        // Trials are found by bisection, and RDMs put back in order.
        let mut sorted = stimuli.clone();
        sorted.sort_unstable();
        let order: Vec<usize> = stimuli
            .iter()
            .filter_map(|stimulus| sorted.binary_search(stimulus).ok())
            .collect();
        let names = self.dataset.roi_names();
        let mut of_region: Vec<Vec<Array2<f64>>> = names.iter().map(|_| Vec::new()).collect();
        for subject in self.subjects() {
            let found = response_rdms(self.dataset, subject, &names, &sorted)?;
            for (own, found) in of_region.iter_mut().zip(found) {
                match found {
                    Ok(Some(rdm)) => {
                        own.push(rdm.select(Axis(0), &order).select(Axis(1), &order));
                    }
                    Ok(None) => {}
                    Err(error) => notes.push(format!("an RDM is left out: {error}")),
                }
            }
        }
        for (place, (region, rdms)) in names.into_iter().zip(of_region).enumerate() {
            let Some(mut mean) = mean(&rdms) else {
                continue;
            };
            // Profiles of similarity to oneself need not say 0.
            mean.diag_mut().fill(0.0);
            let ceiling = self.ceiling(&rdms, &format!("region {region}"), notes);
            let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
            let name: String = region
                .chars()
                .map(|letter| if plain(letter) { letter } else { '_' })
                .collect();
            let name = Name {
                file: format!("region-{}-{name}", place + 1),
                kind: "region",
                level: "",
                subject: String::new(),
                part: region.to_owned(),
            };
            let guided = self.mean_with_guidance(&rdms)?;
            self.write_named(name, &mean, guided, ceiling)?;
        }
        Ok(())
    }

    /// What was found, in the order of the table.
    pub(super) fn finish(self) -> Vec<Found> {
        self.found
    }

    /// Those tested in this fold.
    fn subjects(&self) -> BTreeSet<usize> {
        tested(self.rows, self.fold)
    }

    fn ceiling(
        &self,
        rdms: &[Array2<f64>],
        what: &str,
        notes: &mut Vec<String>,
    ) -> Option<RdmCeiling> {
        // One subject has its own note.
        if rdms.len() < 2 {
            return None;
        }
        match rdm_ceiling(rdms) {
            Ok(answer) => answer.ok(),
            Err(error) => {
                notes.push(format!("{what}: no noise ceiling: {error}"));
                None
            }
        }
    }

    /// Spearman's correlation with the guiding RDMs; none where either is constant.
    fn with_guidance(&self, rdm: &Array2<f64>) -> Result<[Option<f64>; 2]> {
        let own = condensed(rdm.view())?;
        let mut found = [None, None];
        for (found, guide) in found.iter_mut().zip(&self.guides) {
            if let Some(guide) = guide {
                *found = spearman(&own, &condensed(guide.view())?)?;
            }
        }
        Ok(found)
    }

    /// The mean over subjects of [`Self::with_guidance`], which is what a noise ceiling bounds.
    fn mean_with_guidance(&self, rdms: &[Array2<f64>]) -> Result<[Option<f64>; 2]> {
        let each = rdms.iter().map(|rdm| self.with_guidance(rdm));
        let each = each.collect::<Result<Vec<_>>>()?;
        let mean = |level: usize| {
            let known: Vec<f64> = each.iter().filter_map(|found| found[level]).collect();
            summary::mean(&known)
        };
        Ok([mean(0), mean(1)])
    }

    fn write(
        &mut self,
        kind: &'static str,
        level: &'static str,
        subject: &str,
        rdm: &Array2<f64>,
    ) -> Result<()> {
        let words = [kind, level, subject];
        let file: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let name = Name {
            file: file.join("-"),
            kind,
            level,
            subject: subject.to_owned(),
            part: String::new(),
        };
        let guided = self.with_guidance(rdm)?;
        self.write_named(name, rdm, guided, None)
    }

    fn write_named(
        &mut self,
        name: Name,
        rdm: &Array2<f64>,
        [high, low]: [Option<f64>; 2],
        ceiling: Option<RdmCeiling>,
    ) -> Result<()> {
        if let Some(folder) = self.folder {
            let path = folder.join("rdms").join(format!("{}.npy", name.file));
            npy::write_npy_f32(path, rdm.mapv(|value| value as f32).view())?;
        }
        let [lower, upper] = [ceiling.map(|c| c.lower), ceiling.map(|c| c.upper)];
        self.found.push(Found {
            name,
            values: [high, low, lower, upper],
        });
        Ok(())
    }
}

fn tested(rows: &TestRows, fold: usize) -> BTreeSet<usize> {
    let samples = rows.samples.iter().zip(&rows.folds);
    let own = samples.filter(|(_, own)| **own == fold);
    own.map(|(sample, _)| sample.subject).collect()
}

/// The fold's test stimuli that all its subjects saw, each with its first label, by label and id.
fn common(dataset: &Dataset, rows: &TestRows, fold: usize) -> Vec<(usize, Option<usize>)> {
    let mut shown: Option<BTreeSet<usize>> = None;
    for subject in tested(rows, fold) {
        let samples = rows.samples.iter().zip(&rows.folds);
        let own: BTreeSet<usize> = samples
            .filter(|(sample, own)| **own == fold && sample.subject == subject)
            .map(|(sample, _)| sample.stimulus)
            .collect();
        shown = Some(match shown {
            None => own,
            Some(shown) => &shown & &own,
        });
    }
    let label = |stimulus: usize| {
        let labels = dataset.labels.matrix.row(stimulus);
        labels.iter().position(|value| *value == 1)
    };
    let shown = shown.unwrap_or_default().into_iter();
    let mut found: Vec<(usize, Option<usize>)> =
        shown.map(|stimulus| (stimulus, label(stimulus))).collect();
    found.sort_by_key(|&(stimulus, label)| {
        let name = label.map(|label| dataset.labels.names[label].as_str());
        // Those without a label come last.
        (label.is_none(), name, dataset.stimuli[stimulus].id.as_str())
    });
    let places = evenly(found.len(), MOST_STIMULI);
    places.map(|place| found[place]).collect()
}

fn jaccard_distance(a: ArrayView1<'_, u8>, b: ArrayView1<'_, u8>) -> f64 {
    let (mut both, mut either) = (0_usize, 0_usize);
    for (&a, &b) in a.iter().zip(b) {
        both += usize::from(a == 1 && b == 1);
        either += usize::from(a == 1 || b == 1);
    }
    match either {
        0 => 0.0,
        either => 1.0 - both as f64 / either as f64,
    }
}

fn mean(rdms: &[Array2<f64>]) -> Option<Array2<f64>> {
    let mut sum = rdms.first()?.clone();
    for rdm in &rdms[1..] {
        sum += rdm;
    }
    Some(sum / rdms.len() as f64)
}
