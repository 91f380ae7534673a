use mused_run::{
    AlignedInputs, AlignedRidgeConfig, Alignment, BrainFormerConfig, Family, Identity, Levels,
    MlpConfig, Pooling, Regions, SubjectLinearConfig, TransformerConfig, VolumeIdentity,
};

use super::facts::{Inputs, Made, Units};
use crate::number::count;
use crate::sections::facts::Holdout;

const BOTH: &str = "a low-level and a high-level token";

/// The decoder and what it reads.
pub(super) fn words(made: &Made<'_>) -> Vec<String> {
    let mut sentences = match &made.config.model.family {
        Family::Transformer(model) => transformer(model, made.inputs.as_ref()),
        Family::BrainFormer(model) => brainformer(model),
        Family::Mlp(model) => vec![mlp(model)],
        Family::SubjectLinear(model) => vec![subject_linear(model)],
        Family::Ridge(model) => ridge(model.subjects, made.regions()),
        Family::AlignedRidge(model) => aligned_ridge(model, made.holdout),
        // It reads no response.
        Family::Prevalence(model) => return vec![prevalence(model.subjects)],
    };
    sentences.extend(made.inputs.as_ref().map(|inputs| read(made, inputs)));
    if let Some(Units::Aligned(onto)) = made.inputs.as_ref().map(|inputs| &inputs.units) {
        sentences.extend(aligned(made, onto));
    }
    sentences.extend(zscored(made).map(str::to_owned));
    sentences
}

fn transformer(model: &TransformerConfig, inputs: Option<&Inputs>) -> Vec<String> {
    let aligned = inputs.is_some_and(|inputs| matches!(inputs.units, Units::Aligned(_)));
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
            match aligned {
                true => model.aligned_dropout,
                false => model.input_dropout,
            },
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

fn subject_linear(model: &SubjectLinearConfig) -> String {
    let layer = match model.rank {
        0 => format!(
            "a linear layer of its own for each subject, of {} values,",
            model.hidden
        ),
        rank => format!(
            "a linear layer of its own for each subject, of {rank} values, which one map for everybody made {},",
            model.hidden
        ),
    };
    let residuals = match model.depth {
        1 => "one residual layer".to_owned(),
        depth => format!("{depth} residual layers"),
    };
    format!(
        "The decoder was {layer} in front of one network for all subjects of {residuals} (as in MindEye2; Scotti et \
         al., 2024), with dropout {} and of inputs {}.",
        model.dropout, model.input_dropout
    )
}

fn pooled(subjects: Pooling) -> &'static str {
    match subjects {
        Pooling::Shared => "one for all subjects, who were not told apart",
        Pooling::Separate => "one for each subject",
    }
}

fn ridge(subjects: Pooling, regions: Regions) -> Vec<String> {
    let by_regions = match regions {
        Regions::Together => None,
        Regions::Averaged => Some(
            "Each region of interest had a regression of its own; their predictions were averaged.",
        ),
        Regions::Stacked => Some(
            "Each region of interest had a regression of its own, and all together another; their predictions were added with \
             weights, none below 0 and drawn to equal ones, that fit training samples best which the regressions were not fitted on (stacking; \
             Breiman, 1996; Lin et al., 2023).",
        ),
        Regions::Banded => Some(
            "Each region of interest had a weight of its own (banded ridge regression; Nunez-Elizalde et al., 2019).",
        ),
    };
    let decoder = format!(
        "The decoder was ridge regression of the labels, {}.",
        pooled(subjects)
    );
    let by_regions = by_regions.map(str::to_owned);
    [decoder].into_iter().chain(by_regions).collect()
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
        Units::Aligned(_) => format!(
            "{}, each as what ridge regression made of its voxels",
            many("regions of interest")
        ),
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

/// What regions were mapped onto, how, and what became of the scores of labels.
fn aligned(made: &Made<'_>, AlignedInputs { onto, guidance, .. }: &AlignedInputs) -> Vec<String> {
    let most = made.config.model.inputs.components;
    let features = guidance
        .as_ref()
        .map(|features| format!("at most {most} principal components of the features {features}"));
    let consensus = onto.consensus.then(|| {
        format!(
            "at most {most} principal components of the other subjects' mean geometry of the training stimuli that all \
             of them saw"
        )
    });
    let targets = [consensus, features, Some("the labels".to_owned())];
    let targets: Vec<String> = targets.into_iter().flatten().collect();
    let likenesses = onto.stimuli.then(|| {
        "Likenesses of a region's response to those to each training stimulus that all subjects saw, \
         X·Xtrᵀ(Xtr·Xtrᵀ + λ)^(-1/2) with the penalty λ of the labels, were read as well; a training sample's to stimuli of \
         its own group were 0."
            .to_owned()
    });
    let mut sentences = vec![
        format!(
            "A subject and region at a time, voxels were mapped by ridge regression onto {}.",
            targets.join(" and onto ")
        ),
        "Penalties were chosen inside the training stimuli, by cross-validation between up to six parts of whole groups of \
         them (least squared error); the inputs of each training sample came from maps fitted on the other parts, as \
         deviations from the mean of their targets."
            .to_owned(),
    ];
    sentences.extend(likenesses);
    if let Family::Transformer(model) = &made.config.model.family {
        let read = match onto.labels {
            true => "",
            false => " No token read scores of labels.",
        };
        sentences.push(format!(
            "Tested, logits were the mean of those of the network, which was trained alone, and those of the subject's own \
             scores of the labels (weights {:.2} and {:.2}): regressions of each region and of all together, stacked (weights none below 0 and drawn \
             to equal ones; Breiman, 1996; Lin et al., 2023), with a standard deviation of 1 over training samples, around \
             the label's frequency there.{read}",
            1.0 - model.own_share,
            model.own_share,
        ));
    }
    sentences
}

/// Nothing where it is not known.
fn zscored(made: &Made<'_>) -> Option<&'static str> {
    let aligned =
        (made.inputs.as_ref()).is_some_and(|inputs| matches!(inputs.units, Units::Aligned(_)));
    Some(match (made.zscored?, made.profiles) {
        (true, _) if aligned => {
            "Voxels were centred and brought to one scale a subject, that of its median voxel, by the subject's training \
             samples."
        }
        (true, _) => {
            "Inputs were z-scored, a subject and voxel, with means and standard deviations of the subject's training samples."
        }
        (false, Some(true)) => "Similarity profiles were not z-scored.",
        (false, _) => "Inputs were not z-scored.",
    })
}
