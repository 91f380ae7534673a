use mused_data::one_of;

use crate::{Error, Result};

/// A model to compare with: settings by a name.
#[derive(Clone, Copy, Debug)]
pub struct NamedModel {
    /// What it is called.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// `key=value`, laid over a configuration.
    pub settings: &'static [&'static str],
}

const fn model(
    name: &'static str,
    description: &'static str,
    settings: &'static [&'static str],
) -> NamedModel {
    NamedModel {
        name,
        description,
        settings,
    }
}

const UNGUIDED: [&str; 3] = [
    "guidance.high=none",
    "guidance.low=none",
    "loss.orthogonality=0",
];

const fn unguided(more: &'static str) -> [&'static str; 4] {
    let [high, low, orthogonality] = UNGUIDED;
    [high, low, orthogonality, more]
}

impl NamedModel {
    /// The model called `name`.
    ///
    /// # Errors
    /// Names the models there are.
    pub fn named(name: &str) -> Result<&'static Self> {
        MODELS
            .iter()
            .find(|model| model.name == name)
            .ok_or_else(|| {
                let known: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
                Error::Config(format!(
                    "unknown model {name:?}: expected {}",
                    one_of(name, &known)
                ))
            })
    }
}

/// The main model, its ablations, baselines and controls.
pub const MODELS: [NamedModel; 26] = [
    model("default", "as configured", &[]),
    model(
        "clip-mused",
        "the published form: two tokens a subject over voxels, guided by the stimuli",
        &["model.inputs=voxels"],
    ),
    model(
        "no-guidance",
        "ablation: no RSA, no orthogonality",
        &UNGUIDED,
    ),
    model(
        "no-high-guidance",
        "ablation: the high-level token is not guided",
        &["guidance.high=none"],
    ),
    model(
        "no-low-guidance",
        "ablation: the low-level token is not guided",
        &["guidance.low=none"],
    ),
    model(
        "no-orthogonality",
        "ablation: the two tokens are not pushed apart",
        &["loss.orthogonality=0"],
    ),
    model(
        "orthogonality-per-sample",
        "ablation: the tokens of one sample are pushed apart, not those of all pairs",
        &["loss.orthogonality_form=l1"],
    ),
    model(
        "shared-tokens",
        "ablation: guided, one pair of tokens for everybody",
        &["model.subjects=shared"],
    ),
    model(
        "high-token",
        "ablation: the high-level token alone",
        &["model.levels=high"],
    ),
    model(
        "low-token",
        "ablation: the low-level token alone",
        &["model.levels=low"],
    ),
    model(
        "transformer-shared",
        "baseline: one Transformer that is not told whom it reads",
        &unguided("model.subjects=shared"),
    ),
    model(
        "transformer-embedding",
        "baseline: a vector of each subject added to every token",
        &unguided("model.subjects=embedding"),
    ),
    model(
        "transformer-separate",
        "baseline: a Transformer for each subject",
        &unguided("model.subjects=separate"),
    ),
    model(
        "mlp-shared",
        "baseline: one hidden layer for everybody",
        &["model.family=mlp", "model.subjects=shared"],
    ),
    model(
        "mlp-separate",
        "baseline: one hidden layer for each subject",
        &["model.family=mlp", "model.subjects=separate"],
    ),
    model(
        "subject-linear",
        "baseline: a linear layer of each subject in front of one network (as in MindEye2)",
        &["model.family=subject-linear"],
    ),
    model(
        "subject-linear-low-rank",
        "baseline: the same, each layer of 32 values",
        &["model.family=subject-linear", "model.rank=32"],
    ),
    model(
        "ridge-pooled",
        "baseline: one ridge regression for everybody",
        &["model.family=ridge", "model.subjects=shared"],
    ),
    model(
        "ridge-separate",
        "baseline: a ridge regression for each subject",
        &["model.family=ridge", "model.subjects=separate"],
    ),
    model(
        "ridge-averaged",
        "baseline: a ridge regression for each subject and region, and their mean",
        &[
            "model.family=ridge",
            "model.subjects=separate",
            "model.regions=averaged",
        ],
    ),
    model(
        "ridge-stacked",
        "baseline: a ridge regression for each subject and region and of all together, stacked",
        &[
            "model.family=ridge",
            "model.subjects=separate",
            "model.regions=stacked",
        ],
    ),
    model(
        "ridge-banded",
        "baseline: a ridge regression for each subject, a weight for each region",
        &[
            "model.family=ridge",
            "model.subjects=separate",
            "model.regions=banded",
        ],
    ),
    model(
        "procrustes-ridge",
        "baseline: one ridge regression after hyperalignment by Procrustes rotations",
        &["model.family=aligned-ridge", "model.alignment=procrustes"],
    ),
    model(
        "srm-ridge",
        "baseline: one ridge regression after a shared response model",
        &["model.family=aligned-ridge", "model.alignment=srm"],
    ),
    model(
        "prevalence",
        "control: the frequency of each label in training",
        &["model.family=prevalence", "model.subjects=shared"],
    ),
    model(
        "shuffled-brain",
        "control: as configured, each subject's responses dealt anew within runs",
        &["model.shuffled_brain=true"],
    ),
];
