use mused_data::{Arrangement, Dataset, Guidance, Kind, Level, Part, Response};
use mused_run::{
    AlignedInputs, Config, Family, FoldSizes, GuidanceUse, Published, Regions, Resolved, RunRecord,
};

use crate::input::RunFiles;
use crate::sections::facts::Holdout;

/// How stimuli were divided.
pub(super) struct Division {
    pub(super) folds: Vec<FoldSizes>,
    /// Whether whole groups moved together.
    pub(super) grouped: bool,
    /// `None` where it is not known.
    pub(super) seed: Option<u64>,
    /// Whether the test part is the published one; `None` where it is not known.
    pub(super) published: Option<bool>,
}

impl Division {
    /// `None` where no division can be read.
    pub(super) fn of(files: &RunFiles) -> Option<Self> {
        let division = files.division.as_ref().ok()?;
        let folds = division.sizes();
        let config = files.scored.config.as_ref().ok();
        let tested = |dataset: &Dataset| {
            let mut stimuli = dataset.stimuli.iter();
            stimuli.any(|stimulus| stimulus.part == Some(Part::Test))
        };
        let published = match config.map(|config| config.split.published) {
            _ if folds.len() > 1 => Some(false),
            Some(Published::Ignore) => Some(false),
            Some(Published::Use) => files.dataset().map(tested),
            None => None,
        };
        Some(Self {
            grouped: division.grouped(),
            seed: config.map(|config| config.split.seed),
            published,
            folds,
        })
    }

    pub(super) fn validates(&self) -> bool {
        self.folds.iter().any(|fold| fold.validation > 0)
    }
}

/// How a model was made: what the run resolved, or of a run of version 0.1.0 what its configuration, its dataset and
/// its division prove.
pub(super) struct Made<'a> {
    pub(super) config: &'a Config,
    /// `None` where it is not known.
    pub(super) inputs: Option<Inputs<'a>>,
    /// `None` where it is not known.
    pub(super) zscored: Option<bool>,
    /// Whether responses are similarity profiles; `None` where it is not known.
    pub(super) profiles: Option<bool>,
    /// Of the tokens that there are, the high-level one first.
    pub(super) guidance: Vec<(Level, Guided)>,
    /// Whether squared error chose penalties; average precision did in version 0.1.0.
    pub(super) penalty_by_error: bool,
    /// Whether validation scores chose among the weights of epochs.
    pub(super) chosen_by_validation: bool,
    pub(super) holdout: Holdout<'a>,
    /// What the input statistics of held-out subjects came from; `None` where it is not known.
    pub(super) held_out_statistics: Option<&'a str>,
}

/// What a model reads.
pub(super) struct Inputs<'a> {
    pub(super) units: Units<'a>,
    /// `None` where it is not known.
    pub(super) count: Option<usize>,
}

pub(super) enum Units<'a> {
    Regions,
    /// Regions mapped onto what is the same in everybody.
    Aligned(&'a AlignedInputs),
    /// Regions as principal components.
    Components,
    Patches,
    Grid,
}

/// Whether a token was guided.
pub(super) enum Guided {
    By {
        features: String,
        weight: f64,
    },
    Not {
        why: String,
    },
    /// The configuration left the choice to a dataset that is not there to tell.
    Unknown {
        weight: f64,
    },
}

const OWN_STATISTICS: &str = "their own responses to training stimuli, without labels";

impl<'a> Made<'a> {
    pub(super) fn of(files: &'a RunFiles, config: &'a Config) -> Self {
        let record = files.run().record();
        let (resolved, dataset) = (record.resolved.as_ref(), files.dataset());
        let response = response(record, dataset);
        let profiles = response.map(|response| response == Response::SimilarityProfiles);
        let zscored = match (resolved, config.model.inputs.zscore) {
            (Some(resolved), _) => Some(resolved.inputs.zscored),
            (None, false) => Some(false),
            (None, true) => profiles.map(|profiles| !profiles),
        };
        let stated = resolved.and_then(|resolved| resolved.held_out.as_ref());
        let stated = stated.map(|held_out| held_out.statistics.as_str());
        Self {
            config,
            inputs: Inputs::of(resolved, config, dataset),
            zscored,
            profiles,
            guidance: guidance(resolved, config, dataset),
            penalty_by_error: resolved.is_some(),
            chosen_by_validation: chosen_by_validation(files, config),
            holdout: Holdout::of(config),
            held_out_statistics: (zscored == Some(true))
                .then_some(stated.unwrap_or(OWN_STATISTICS)),
        }
    }

    /// Whether both tokens are there and a term pushed them apart; `None` where there is at most one.
    pub(super) fn orthogonality(&self) -> Option<bool> {
        let both = self.config.model.family.tokens() == [true; 2];
        both.then_some(self.config.loss.orthogonality > 0.0)
    }
}

impl Made<'_> {
    /// How regions came together in ridge regression.
    pub(super) fn regions(&self) -> Regions {
        let one = (self.inputs.as_ref()).is_some_and(|inputs| inputs.count == Some(1));
        match &self.config.model.family {
            Family::Ridge(model) if !one => model.regions,
            _ => Regions::Together,
        }
    }
}

fn response(record: &RunRecord, dataset: Option<&Dataset>) -> Option<Response> {
    let recorded = record.dataset.identity.as_ref();
    let recorded = recorded.map(|identity| identity.response);
    recorded.or(dataset.map(|dataset| dataset.description.response))
}

impl<'a> Inputs<'a> {
    fn of(
        resolved: Option<&'a Resolved>,
        config: &Config,
        dataset: Option<&Dataset>,
    ) -> Option<Self> {
        if let Some(Resolved { inputs, .. }) = resolved {
            let units = match (inputs.arrangement.as_str(), &inputs.aligned) {
                ("regions", _) => Units::Regions,
                ("aligned", Some(aligned)) => Units::Aligned(aligned),
                ("components", _) => Units::Components,
                ("patches", _) => Units::Patches,
                ("grid", _) => Units::Grid,
                _ => return None,
            };
            let count = Some(inputs.slots);
            return Some(Self { units, count });
        }
        let as_volume = config.arrangement(Kind::Volume);
        let whatever = (config.arrangement(Kind::Roi) == as_volume).then_some(as_volume);
        let arrangement =
            whatever.or(dataset.map(|dataset| config.arrangement(dataset.description.kind)))?;
        let units = match arrangement {
            Arrangement::Regions => Units::Regions,
            Arrangement::Components { .. } => Units::Components,
            Arrangement::Patches { .. } => Units::Patches,
            Arrangement::Grid { .. } => Units::Grid,
        };
        Some(Self { units, count: None })
    }
}

fn guidance(
    resolved: Option<&Resolved>,
    config: &Config,
    dataset: Option<&Dataset>,
) -> Vec<(Level, Guided)> {
    let (choices, loss) = (&config.guidance, &config.loss);
    let facts = |of: fn(&Resolved) -> &GuidanceUse| resolved.map(of);
    let (high, low) = (facts(|r| &r.guidance_high), facts(|r| &r.guidance_low));
    let levels = [
        (Level::High, &choices.high, loss.high, high),
        (Level::Low, &choices.low, loss.low, low),
    ];
    let there = levels.into_iter().zip(config.model.family.tokens());
    let there = there.filter_map(|(level, there)| there.then_some(level));
    let each = there.map(|(level, choice, weight, resolved)| {
        let guided = match resolved {
            Some(resolved) => Guided::resolved(resolved),
            None => Guided::proven(level, choice, weight, dataset),
        };
        (level, guided)
    });
    each.collect()
}

impl Guided {
    fn resolved(guidance: &GuidanceUse) -> Self {
        match guidance {
            GuidanceUse::Used { features, weight } => Self::By {
                features: features.clone(),
                weight: *weight,
            },
            GuidanceUse::Unused { unused } => Self::not(unused),
        }
    }

    fn not(why: &str) -> Self {
        Self::Not {
            why: why.to_owned(),
        }
    }

    /// What a configuration and a dataset prove.
    fn proven(level: Level, choice: &str, weight: f64, dataset: Option<&Dataset>) -> Self {
        let by = |features: &str| Self::By {
            features: features.to_owned(),
            weight,
        };
        match choice {
            "none" => Self::not("the configuration says none"),
            _ if weight == 0.0 => Self::not("its weight is 0"),
            "auto" => match dataset.map(|dataset| Guidance::choose(dataset, level, choice)) {
                Some(Ok(Some(features))) => by(&features.name),
                Some(Ok(None)) => Self::not("no feature set of the dataset names this level"),
                Some(Err(_)) | None => Self::Unknown { weight },
            },
            // A set that the dataset lacks is refused before training.
            features => by(features),
        }
    }
}

fn chosen_by_validation(files: &RunFiles, config: &Config) -> bool {
    let resolved = files.run().record().resolved.as_ref();
    let chosen = match resolved {
        Some(resolved) => resolved.weights_chosen_by_validation,
        None => {
            let sizes = files.division.as_ref().map(|division| division.sizes());
            let validates = sizes.is_ok_and(|folds| folds.iter().any(|fold| fold.validation > 0));
            config.model.family.by_steps() && validates
        }
    };
    // Where no epoch could be scored the last weights were kept.
    let epochs = &files.scored.epochs;
    chosen && (epochs.is_empty() || epochs.iter().any(|epoch| epoch.validation.is_some()))
}
