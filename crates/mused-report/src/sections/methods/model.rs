use mused_run::{
    AlignedRidgeConfig, Alignment, BrainFormerConfig, Family, Identity, Levels, MlpConfig, Pooling,
    TransformerConfig, VolumeIdentity,
};

use super::facts::{Inputs, Made, Units};
use crate::number::count;
use crate::sections::facts::Holdout;

const BOTH: &str = "a low-level and a high-level token";

/// The decoder and what it reads.
pub(super) fn words(made: &Made<'_>) -> Vec<String> {
    let mut sentences = match &made.config.model.family {
        Family::Transformer(model) => transformer(model),
        Family::BrainFormer(model) => brainformer(model),
        Family::Mlp(model) => vec![mlp(model)],
        Family::Ridge(model) => vec![format!(
            "The decoder was ridge regression of the labels, {}.",
            pooled(model.subjects)
        )],
        Family::AlignedRidge(model) => aligned_ridge(model, made.holdout),
        // It reads no response.
        Family::Prevalence(model) => return vec![prevalence(model.subjects)],
    };
    sentences.extend(made.inputs.as_ref().map(|inputs| read(made, inputs)));
    sentences.extend(zscored(made).map(str::to_owned));
    sentences
}

fn transformer(model: &TransformerConfig) -> Vec<String> {
    let tokens = match model.levels {
        Levels::Both => BOTH,
        Levels::High => "a high-level token",
        Levels::Low => "a low-level token",
    };
    vec![
        format!(
            "The decoder was a Transformer (CLIP-MUSED; Zhou et al., 2024) of width {}, depth {}, {} heads and MLP ratio \
             {}, with dropout {}, of attention {} and of inputs {}.",
            model.dim,
            model.depth,
            model.heads,
            model.mlp_ratio,
            model.dropout,
            model.attention_dropout,
            model.input_dropout,
        ),
        match model.subjects {
            Identity::Tokens => own_tokens(tokens),
            Identity::Embedding => format!(
                "Subjects shared its weights and {tokens}, which labels were read from; a vector of each subject was added \
                 to every token."
            ),
            Identity::Shared => shared_tokens(tokens),
            Identity::Separate => separate(tokens),
        },
    ]
}

fn brainformer(model: &BrainFormerConfig) -> Vec<String> {
    vec![
        format!(
            "The decoder was BrainFormer-{} (Zhou et al., 2024), 3-D convolutions with attention over the whole volume.",
            model.depth
        ),
        match model.subjects {
            VolumeIdentity::Tokens => own_tokens(BOTH),
            VolumeIdentity::Shared => shared_tokens(BOTH),
            VolumeIdentity::Separate => separate(BOTH),
        },
    ]
}

fn own_tokens(tokens: &str) -> String {
    format!(
        "Subjects shared its weights; each had {tokens} of its own, which labels were read from."
    )
}

fn shared_tokens(tokens: &str) -> String {
    format!(
        "Subjects shared its weights and {tokens}, which labels were read from, and were not told apart."
    )
}

fn separate(tokens: &str) -> String {
    format!("Each subject had a model of its own, with {tokens} that labels were read from.")
}

fn mlp(model: &MlpConfig) -> String {
    format!(
        "The decoder was a network of one hidden layer of {} units, with dropout {} and of inputs {}, {}.",
        model.hidden,
        model.dropout,
        model.input_dropout,
        pooled(model.subjects)
    )
}

fn pooled(subjects: Pooling) -> &'static str {
    match subjects {
        Pooling::Shared => "one for all subjects, who were not told apart",
        Pooling::Separate => "one for each subject",
    }
}

fn aligned_ridge(model: &AlignedRidgeConfig, holdout: Holdout<'_>) -> Vec<String> {
    let how = match model.alignment {
        Alignment::Procrustes => {
            "Procrustes rotations of their principal components (hyperalignment; Haxby et al., 2011)"
        }
        Alignment::Srm => "the deterministic shared response model (Chen et al., 2015)",
    };
    let mut sentences = vec![
        "The decoder was ridge regression of the labels, one for all subjects after alignment."
            .to_owned(),
        format!(
            "Subjects were brought into one space of at most {} dimensions by {how}, fitted without labels on the \
             training stimuli that all of them saw.",
            model.alignment_components
        ),
    ];
    if !matches!(holdout, Holdout::Nobody) {
        sentences.push(
            "A held-out subject was aligned to the others by its own responses to these stimuli."
                .to_owned(),
        );
    }
    sentences
}

fn prevalence(subjects: Pooling) -> String {
    let whose = match subjects {
        Pooling::Shared => "of all subjects",
        Pooling::Separate => "of each subject",
    };
    format!(
        "The decoder was the frequency of each label among the training samples {whose}, whatever the response (a control)."
    )
}

fn read(made: &Made<'_>, inputs: &Inputs) -> String {
    let config = &made.config.model.inputs;
    let many = |what: &str| match inputs.count {
        Some(number) => format!("{} {what}", count(number)),
        None => what.to_owned(),
    };
    let what = match inputs.units {
        Units::Regions => many("regions of interest"),
        Units::Components => format!(
            "{}, each as at most {} principal components fitted on the subject's training samples",
            many("regions of interest"),
            config.roi_components
        ),
        Units::Patches => format!("{} of {} voxels a side", many("cubes"), config.patch_size),
        Units::Grid => "the grid of voxels undivided".to_owned(),
    };
    let token = match made.config.model.family {
        Family::Transformer(_) => ", a token each",
        _ => "",
    };
    format!("The model read {what}{token}.")
}

/// Nothing where it is not known.
fn zscored(made: &Made<'_>) -> Option<&'static str> {
    Some(match (made.zscored?, made.profiles) {
        (true, _) => {
            "Inputs were z-scored, a subject and voxel, with means and standard deviations of the subject's training samples."
        }
        (false, Some(true)) => "Similarity profiles were not z-scored.",
        (false, _) => "Inputs were not z-scored.",
    })
}
