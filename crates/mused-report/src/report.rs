use std::path::Path;

use mused_data::quality::{Quality, quality};
use mused_formats::surface::Surface;

use crate::curve_page::CurvePage;
use crate::figure::{Figure, Section};
use crate::figures::Side;
use crate::input::{Images, RunFiles, ScoredRun, Scores};
use crate::page::{self, Page};
use crate::sections::{self, Facts, Input};
use crate::{Result, files};

/// What to report on.
pub struct Request<'a> {
    /// The run that the page is about.
    pub run: &'a RunFiles,
    /// Runs that it is compared with.
    pub others: &'a [ScoredRun],
    /// Where pictures of stimuli come from.
    pub images: &'a mut dyn Images,
    /// What is known of subjects and runs already; measured where it is not.
    pub quality: Option<Quality>,
    /// Surfaces of the cortex, at most one of each side, that importance and patterns are drawn on.
    pub surfaces: &'a [(Side, Surface)],
    /// Whether token maps are made by t-SNE instead of principal components.
    pub tsne: bool,
    /// The command that makes the report, as it can be typed.
    pub command: &'a str,
    /// Where the page will be written: maps of importance lie beside it.
    pub out: &'a Path,
}

/// A report, ready to be written.
pub struct Report {
    page: Page,
}

impl Report {
    /// Makes every section. Maps of importance, where there are any, are written beside the page.
    ///
    /// # Errors
    /// Predictions that cannot be scored. What is missing is told on the page.
    pub fn new(request: Request<'_>) -> Result<Self> {
        let run = request.run;
        let scores = match &run.predictions {
            Ok(predictions) => Some(Scores::new(predictions)?),
            Err(_) => None,
        };
        let (labels, subjects) = (run.labels(), run.subjects());
        let input = Input {
            files: run,
            facts: Facts::of(&run.scored),
            runs: std::iter::once(&run.scored).chain(request.others).collect(),
            // Responses that cannot be read any more are told where they are needed.
            quality: (request.quality)
                .or_else(|| run.dataset().and_then(|dataset| quality(dataset).ok())),
            scores: scores.as_ref(),
            labels: &labels,
            subjects: &subjects,
            command: request.command,
            surfaces: request.surfaces,
            tsne: request.tsne,
        };
        let page = Page {
            name: format!("{}: {}", input.facts.dataset, run.scored.name),
            title: sections::title(&input),
            subtitle: sections::lead(&input),
            sections: all_sections(&input, request.images, request.out),
            labels: labels.clone(),
            subjects: subjects.clone(),
            foot: page::foot(run.run().path()),
        };
        Ok(Self { page })
    }

    /// The report of a learning curve.
    pub fn of_curve(curve: &CurvePage<'_>) -> Self {
        Self { page: curve.page() }
    }

    /// The page: one file that needs no other.
    pub fn html(&self) -> String {
        page::write(&self.page)
    }

    /// Every figure, in the order of the page.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.page.sections.iter().flat_map(Section::all_figures)
    }

    /// Writes every figure as SVG, PNG (300 dots an inch) and TSV into a folder, which is made where it is missing.
    ///
    /// # Errors
    /// A folder or file that cannot be written.
    pub fn write_figures(&self, folder: &Path) -> Result<usize> {
        files::write(self.figures(), folder)
    }
}

fn all_sections(input: &Input<'_>, images: &mut dyn Images, out: &Path) -> Vec<Section> {
    let maps = sections::importance_maps(input.files, out);
    let mut all = vec![sections::headline(input)];
    if input.runs.len() > 1 {
        all.push(sections::runs(input));
    }
    let (stimuli, pictures) = sections::stimuli(input, images);
    let rest = [
        sections::labels(input),
        sections::brain(input, &maps),
        sections::representations(input),
    ];
    // Pictures say most of all; bars without them least.
    match pictures {
        true => all.extend(std::iter::once(stimuli).chain(rest)),
        false => all.extend(rest.into_iter().chain([stimuli])),
    }
    all.extend(sections::retrieval(input, images));
    all.push(sections::methods(input));
    all
}
