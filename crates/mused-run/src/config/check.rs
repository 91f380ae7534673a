use mused_data::{Arrangement, Description, Response};
use toml::Table;

use super::layers::lookup;
use super::{Config, Family, Setting, Tokenizer, Trials};
use crate::{Error, Result};

/// Depths that the published volume model has.
const DEPTHS: [usize; 3] = [10, 18, 34];

impl Config {
    /// Checks what types do not express.
    ///
    /// # Errors
    /// Names the key, what is expected and what was found.
    pub fn check(&self) -> Result<()> {
        match self.problem()? {
            None => Ok(()),
            Some((_, message)) => Err(Error::Config(message)),
        }
    }

    /// The first key at fault and what is wrong with it.
    pub(crate) fn problem(&self) -> Result<Option<(String, String)>> {
        let values = Table::try_from(self).map_err(|error| Error::Config(error.to_string()))?;
        let family = self.model.family.name();
        let own = |setting: &Setting| setting.is_of(family);
        for setting in Self::settings().into_iter().filter(own) {
            let (Some(range), Some(value)) = (setting.range, lookup(&values, &setting.key)) else {
                continue;
            };
            if !range.admits(value) {
                let message = format!("{} must be {range}, found {value}", setting.key);
                return Ok(Some((setting.key, message)));
            }
        }
        let broken = self.rules().into_iter().find(|(holds, ..)| !holds);
        Ok(broken.map(|(_, key, expected)| (key.to_owned(), format!("{key} must be {expected}"))))
    }

    /// Rules between keys: whether they hold, the key, and what it must be.
    fn rules(&self) -> Vec<(bool, &'static str, &'static str)> {
        let inputs = &self.model.inputs;
        let mut rules = vec![
            (
                [0, 3].contains(&inputs.grid.len()),
                "model.grid",
                "empty or three pairs [from, to]",
            ),
            (
                self.split.trials != Trials::None,
                "split.trials",
                "all or a number of stimuli",
            ),
            (
                !self.model.family.separate() || self.split.holdout_subject.is_empty(),
                "model.subjects",
                "another one than separate: a model a subject cannot read a held-out subject",
            ),
        ];
        match &self.model.family {
            Family::SubjectLinear(_) => rules.push((
                self.split.holdout_subject.is_empty(),
                "model.family",
                "another one than subject-linear: a held-out subject has no layer",
            )),
            Family::Transformer(model) => rules.extend([
                (
                    model.heads > 0 && model.dim.is_multiple_of(model.heads),
                    "model.heads",
                    "a divisor of model.dim",
                ),
                (
                    inputs.tokenizer != Tokenizer::Grid,
                    "model.tokenizer",
                    "regions, patches or auto for a Transformer, which reads tokens",
                ),
            ]),
            Family::BrainFormer(model) => rules.extend([
                (
                    DEPTHS.contains(&model.depth),
                    "model.depth",
                    "10, 18 or 34 for BrainFormer",
                ),
                (
                    matches!(inputs.tokenizer, Tokenizer::Auto | Tokenizer::Grid),
                    "model.tokenizer",
                    "auto or grid for BrainFormer; model.family=transformer reads regions and patches",
                ),
            ]),
            _ => {}
        }
        rules
    }

    /// Refuses what a dataset of some kind cannot be read with.
    ///
    /// # Errors
    /// Principal components of what has no regions of voxels.
    pub fn check_for(&self, description: &Description) -> Result<()> {
        let by_regions = matches!(
            self.arrangement(description.kind),
            Arrangement::Components { .. }
        );
        let profiles = description.response == Response::SimilarityProfiles;
        if self.model.inputs.roi_components == 0 || (by_regions && !profiles) {
            return Ok(());
        }
        let found = if profiles {
            "similarity profiles, which are as long for every subject"
        } else {
            "patches or convolutions of a volume (model.tokenizer, model.family)"
        };
        Err(Error::Config(format!(
            "model.roi_components is for regions of voxels and must be 0 for {found}"
        )))
    }
}
