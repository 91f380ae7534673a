use mused_data::{Arrangement, Description, Response};
use mused_model::Levels;

use super::{Alignment, Config, Family, Sharing, TokenizerKind};
use crate::{Error, Result};

impl Config {
    /// Checks ranges that types do not express.
    ///
    /// # Errors
    /// Names the key, what is expected and what was found.
    pub fn check(&self) -> Result<()> {
        let (model, train) = (&self.model, &self.train);
        let share = |value: f64| (0.0..1.0).contains(&value);
        let factor = |value: f64| value.is_finite() && value >= 0.0;
        let rules = [
            (self.split.folds > 0, "split.folds", "at least 1"),
            (
                model.family == Family::Transformer
                    || matches!(model.subjects, Sharing::Shared | Sharing::Separate),
                "model.subjects",
                "shared or separate for a family without tokens",
            ),
            (
                model.alignment == Alignment::None
                    || (model.family == Family::Ridge && model.subjects == Sharing::Shared),
                "model.alignment",
                "none unless model.family is ridge and model.subjects is shared",
            ),
            (
                model.alignment_components > 0,
                "model.alignment_components",
                "at least 1",
            ),
            (
                model.tokenizer != TokenizerKind::Convolutions
                    || (model.levels == Levels::Both && model.subjects != Sharing::Embedding),
                "model.levels and model.subjects",
                "both and anything but embedding where model.tokenizer is convolutions",
            ),
            (
                model.subjects != Sharing::Separate || self.split.holdout_subject.is_empty(),
                "model.subjects",
                "another one than separate: a model a subject cannot read a held-out subject",
            ),
            (model.patch_size > 0, "model.patch_size", "at least 1"),
            (
                [0, 3].contains(&model.grid.len()),
                "model.grid",
                "empty or three pairs [from, to]",
            ),
            (model.dim > 0, "model.dim", "at least 1"),
            (model.depth > 0, "model.depth", "at least 1"),
            (
                model.heads > 0 && model.dim.is_multiple_of(model.heads),
                "model.heads",
                "a divisor of model.dim",
            ),
            (
                model.mlp_ratio.is_finite() && model.mlp_ratio > 0.0,
                "model.mlp_ratio",
                "above 0",
            ),
            (
                share(model.dropout),
                "model.dropout",
                "0 or more and below 1",
            ),
            (
                share(model.attention_dropout),
                "model.attention_dropout",
                "0 or more and below 1",
            ),
            (
                share(model.input_dropout),
                "model.input_dropout",
                "0 or more and below 1",
            ),
            (factor(self.loss.high), "loss.high", "0 or more"),
            (factor(self.loss.low), "loss.low", "0 or more"),
            (
                factor(self.loss.orthogonality),
                "loss.orthogonality",
                "0 or more",
            ),
            (train.epochs > 0, "train.epochs", "at least 1"),
            (train.batch_size > 0, "train.batch_size", "at least 1"),
            (
                train.learning_rate.is_finite() && train.learning_rate > 0.0,
                "train.learning_rate",
                "above 0",
            ),
            (
                train.rate_factors.values().all(|&value| factor(value)),
                "train.rate_factors",
                "0 or more each",
            ),
            (share(train.warmup), "train.warmup", "0 or more and below 1"),
            (train.step_epochs > 0, "train.step_epochs", "at least 1"),
            (factor(train.step_factor), "train.step_factor", "0 or more"),
            (
                factor(train.weight_decay),
                "train.weight_decay",
                "0 or more",
            ),
            (
                factor(train.gradient_clip),
                "train.gradient_clip",
                "0 or more",
            ),
            (
                share(train.ema_decay),
                "train.ema_decay",
                "0 or more and below 1",
            ),
            (
                (-1.0..=1.0).contains(&self.audit.near_duplicate),
                "audit.near_duplicate",
                "a cosine, from -1 to 1",
            ),
        ];
        match rules.iter().find(|(holds, _, _)| !holds) {
            None => Ok(()),
            Some((_, key, expected)) => Err(Error::Config(format!(
                "{key} must be {expected} (see its value in the configuration given)"
            ))),
        }
    }

    /// Refuses what a dataset of some kind cannot be read with.
    pub(crate) fn check_for(&self, description: &Description) -> Result<()> {
        let by_regions = matches!(
            self.arrangement(description.kind),
            Arrangement::Components { .. }
        );
        let profiles = description.response == Response::SimilarityProfiles;
        if self.model.roi_components == 0 || (by_regions && !profiles) {
            return Ok(());
        }
        let found = if profiles {
            "similarity profiles, which are as long for every subject"
        } else {
            "patches or convolutions of a volume (model.tokenizer)"
        };
        Err(Error::Config(format!(
            "model.roi_components is for regions of voxels and must be 0 for {found}"
        )))
    }
}
