//! The `model` section: what is read of a response, and the family that decodes it, with keys of its own.

use serde::{Deserialize, Serialize};
use toml::Table;

use super::reading::Reading;
use super::settings::{Setting, choices, settings};

choices! {
    /// How voxels become the slots of an input row.
    Tokenizer {
        /// Patches for a dataset of kind volume, regions for others.
        Auto = "auto",
        /// A slot a region of interest.
        Regions = "regions",
        /// A slot a cube of voxels.
        Patches = "patches",
        /// The grid undivided, for families that read a row of values as one.
        Grid = "grid",
    }
}

choices! {
    /// How subjects share a Transformer and are told apart in it.
    Identity {
        /// One model; two tokens of each subject.
        Tokens = "tokens",
        /// One model; a vector of each subject added to every token, the tokens are everybody's.
        Embedding = "embedding",
        /// One model that is not told whose responses it reads.
        Shared = "shared",
        /// A model for each subject.
        Separate = "separate",
    }
}

choices! {
    /// How subjects share the volume model and are told apart in it.
    VolumeIdentity {
        /// One model; two tokens of each subject.
        Tokens = "tokens",
        /// One model that is not told whose responses it reads.
        Shared = "shared",
        /// A model for each subject.
        Separate = "separate",
    }
}

choices! {
    /// Whether subjects share a model without tokens.
    Pooling {
        /// One model that is not told whose responses it reads.
        Shared = "shared",
        /// A model for each subject.
        Separate = "separate",
    }
}

choices! {
    /// How regions come together in one ridge regression.
    Regions {
        /// All values of the input row together, under one penalty.
        Together = "together",
        /// A regression a region, each with a penalty of its own, and their mean.
        Averaged = "averaged",
        /// A regression a region and one of all together, weighted by how well they predict training samples they were not
        /// fitted on.
        Stacked = "stacked",
        /// Together, each region with a weight of its own that cross-validation chooses.
        Banded = "banded",
    }
}

choices! {
    /// Tokens that the logits are read from.
    Levels {
        /// The high-level and the low-level one.
        Both = "both",
        /// The high-level one alone.
        High = "high",
        /// The low-level one alone.
        Low = "low",
    }
}

choices! {
    /// How subjects come into one space before ridge regression.
    Alignment {
        /// Hyperalignment: principal components of each subject, rotated to a common template.
        Procrustes = "procrustes",
        /// The deterministic shared response model.
        Srm = "srm",
    }
}

settings! {
    /// What a model reads of a response; every family has these keys.
    "model" InputConfig {
        /// How voxels are divided: into regions of interest or cubes. BrainFormer reads the grid undivided.
        tokenizer: Tokenizer = Tokenizer::Auto;
        /// What stands in an input row for a region: its voxels, or what ridge regression makes of them, a subject at a time,
        /// fitted on training samples: that means the same in everybody, which voxel 17 of two people does not.
        inputs: Reading = Reading::Auto, from "CORRECTNESS.md, Aligned inputs";
        /// Most components of guidance, and of consensus, that regions are mapped onto.
        components: usize = 24, in super::Range::AtLeast(1);
        /// Voxels a side of a cube.
        patch_size: usize = 8, in super::Range::Within(1, 512);
        /// Part of the volume that is read: [from, to] on each axis, in voxels of the dataset; beyond the brain it is
        /// zero. Empty = the smallest box around all brains.
        grid: Vec<[i32; 2]> = Vec::new();
        /// Whether voxels are z-scored with training statistics, a subject; where they are mapped onto something
        /// (model.inputs), they are centred and share one scale instead. Similarity profiles never are: they have one scale
        /// for everybody.
        zscore: bool = true;
        /// Regions as this many principal components, fitted on each subject's training samples; 0 = voxels, with zeros
        /// where a subject has fewer than others.
        roi_components: usize = 0, in super::Range::AtLeast(0), from "own choice: the paper does not say how lengths became common";
        /// Control: each subject's responses are dealt anew to the stimuli of the same run.
        shuffled_brain: bool = false;
    }
}

settings! {
    /// A Transformer over regions or cubes, with subject tokens: CLIP-MUSED.
    "model" "transformer" TransformerConfig {
        /// How subjects share the model.
        subjects: Identity = Identity::Tokens, from "tokens: CLIP-MUSED, section 3.2";
        /// Tokens that the logits are read from.
        levels: Levels = Levels::Both, from "CLIP-MUSED, section 3.2";
        /// Width of a token.
        dim: usize = 128, in super::Range::AtLeast(1), from "chosen on validation parts (CORRECTNESS.md)";
        /// Transformer blocks.
        depth: usize = 1, in super::Range::AtLeast(1), from "chosen on validation parts (CORRECTNESS.md)";
        /// Attention heads; divides the width.
        heads: usize = 4, in super::Range::AtLeast(1);
        /// Hidden width of the MLP as a multiple of the width.
        mlp_ratio: f64 = 2.0, in super::Range::Positive;
        /// Dropout after attention and in the MLP.
        dropout: f64 = 0.2, in super::Range::Share, from "chosen on validation parts (CORRECTNESS.md)";
        /// Dropout of attention weights.
        attention_dropout: f64 = 0.2, in super::Range::Share, from "chosen on validation parts (CORRECTNESS.md)";
        /// Dropout of single input values that are voxels.
        input_dropout: f64 = 0.7, in super::Range::Share, from "chosen on validation parts (CORRECTNESS.md)";
        /// Dropout of single input values that voxels were mapped onto.
        aligned_dropout: f64 = 0.5, in super::Range::Share, from "chosen on validation parts (CORRECTNESS.md)";
        /// Where voxels are mapped onto something: share of a subject's own ridge scores in what is decoded; the rest is the
        /// network's.
        own_share: f64 = 0.7, in super::Range::Share, from "chosen on validation parts (CORRECTNESS.md)";
    }
}

settings! {
    /// The published volume model: 3-D convolutions with attention over the whole grid.
    "model" "brainformer" BrainFormerConfig {
        /// How subjects share the model.
        subjects: VolumeIdentity = VolumeIdentity::Tokens, from "published code";
        /// Layers as ResNets are counted: 10, 18 or 34.
        depth: usize = 18, from "published code";
        /// Channels of the two convolutions before the blocks.
        stem: [usize; 2] = [32, 64], in super::Range::AtLeast(1), from "published code";
        /// Channels of the four stages; the last two are equal.
        stages: [usize; 4] = [64, 128, 512, 512], in super::Range::AtLeast(1), from "published code";
        /// Attention heads.
        heads: usize = 4, in super::Range::AtLeast(1), from "published code";
        /// Width of a head.
        head_dim: usize = 64, in super::Range::AtLeast(1), from "published code";
        /// Hidden widths of the MLPs after the two deep attentions.
        mlp: [usize; 2] = [256, 512], in super::Range::AtLeast(1), from "published code";
    }
}

settings! {
    /// One hidden layer over the whole input row, without tokens or guidance.
    "model" "mlp" MlpConfig {
        /// Whether subjects share the model.
        subjects: Pooling = Pooling::Shared;
        /// Width of the hidden layer.
        hidden: usize = 256, in super::Range::AtLeast(1);
        /// Dropout of the hidden layer.
        dropout: f64 = 0.2, in super::Range::Share;
        /// Dropout of single input values.
        input_dropout: f64 = 0.7, in super::Range::Share;
    }
}

settings! {
    /// One network for everybody behind a linear layer of each subject, without tokens or guidance.
    "model" "subject-linear" SubjectLinearConfig {
        /// Width that all subjects share.
        hidden: usize = 1024, in super::Range::AtLeast(1), from "chosen on validation parts (docs/models-compared.md)";
        /// Values that a subject's layer makes of its voxels, from which one map for everybody makes the shared width; 0 =
        /// the shared width at once.
        rank: usize = 0, in super::Range::AtLeast(0);
        /// Residual layers for everybody.
        depth: usize = 1, in super::Range::AtLeast(1), from "MindEye2 (Scotti et al. 2024) has 4, of width 4,096";
        /// Dropout in the residual layers.
        dropout: f64 = 0.5, in super::Range::Share, from "chosen on validation parts (docs/models-compared.md)";
        /// Dropout of single input values.
        input_dropout: f64 = 0.7, in super::Range::Share;
    }
}

settings! {
    /// Ridge regression of the labels, in closed form, without guidance.
    "model" "ridge" RidgeConfig {
        /// Whether subjects share the model.
        subjects: Pooling = Pooling::Shared;
        /// How regions come together.
        regions: Regions = Regions::Together, from "stacked: Lin, Naselaris & Kay 2023; banded: Nunez-Elizalde et al. 2019";
    }
}

settings! {
    /// One ridge regression for everybody, after subjects were brought into one space by the training stimuli that all
    /// of them saw.
    "model" "aligned-ridge" AlignedRidgeConfig {
        /// How they are brought there.
        alignment: Alignment = Alignment::Procrustes, from "Haxby et al. 2011; Chen et al. 2015";
        /// Most dimensions of that space; fewer where stimuli or voxels are fewer.
        alignment_components: usize = 50, in super::Range::AtLeast(1);
    }
}

settings! {
    /// How frequent each label is among the training samples, whatever the response.
    "model" "prevalence" PrevalenceConfig {
        /// Whether subjects share the model.
        subjects: Pooling = Pooling::Shared;
    }
}

/// Which model decodes, with the keys it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case")]
pub enum Family {
    /// A Transformer over regions or cubes.
    Transformer(TransformerConfig),
    /// The published volume model.
    #[serde(rename = "brainformer")]
    BrainFormer(BrainFormerConfig),
    /// One hidden layer.
    Mlp(MlpConfig),
    /// One network behind a linear layer of each subject.
    SubjectLinear(SubjectLinearConfig),
    /// Ridge regression.
    Ridge(RidgeConfig),
    /// Ridge regression after alignment of subjects.
    AlignedRidge(AlignedRidgeConfig),
    /// The frequency of each label.
    Prevalence(PrevalenceConfig),
}

/// Names of the families and what they are, in the order of the page of settings.
pub const FAMILIES: [(&str, &str); 7] = [
    (
        "transformer",
        "a Transformer over regions or cubes of voxels, with tokens of each subject",
    ),
    (
        "brainformer",
        "the published volume model: 3-D convolutions with attention",
    ),
    ("mlp", "one hidden layer over the whole input row"),
    (
        "subject-linear",
        "one network for everybody behind a linear layer of each subject",
    ),
    ("ridge", "ridge regression of the labels"),
    (
        "aligned-ridge",
        "one ridge regression after subjects were aligned",
    ),
    ("prevalence", "the frequency of each label in training"),
];

impl Family {
    /// A family with its defaults; `None` where none is called that.
    pub(crate) fn named(name: &str) -> Option<Self> {
        // Every family has defaults for all its keys.
        Table::from_iter([("family".to_owned(), name.into())])
            .try_into()
            .ok()
    }

    /// As `model.family` has it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Transformer(_) => "transformer",
            Self::BrainFormer(_) => "brainformer",
            Self::Mlp(_) => "mlp",
            Self::SubjectLinear(_) => "subject-linear",
            Self::Ridge(_) => "ridge",
            Self::AlignedRidge(_) => "aligned-ridge",
            Self::Prevalence(_) => "prevalence",
        }
    }

    /// Whether every subject has a model of its own.
    pub fn separate(&self) -> bool {
        match self {
            Self::Transformer(model) => model.subjects == Identity::Separate,
            Self::BrainFormer(model) => model.subjects == VolumeIdentity::Separate,
            Self::Mlp(MlpConfig { subjects, .. })
            | Self::Ridge(RidgeConfig { subjects, .. })
            | Self::Prevalence(PrevalenceConfig { subjects }) => *subjects == Pooling::Separate,
            Self::SubjectLinear(_) | Self::AlignedRidge(_) => false,
        }
    }

    /// Tokens that guidance can speak to: the high-level one, the low-level one.
    pub fn tokens(&self) -> [bool; 2] {
        match self {
            Self::Transformer(TransformerConfig { levels, .. }) => {
                [*levels != Levels::Low, *levels != Levels::High]
            }
            Self::BrainFormer(_) => [true; 2],
            _ => [false; 2],
        }
    }

    /// Whether a model is trained by gradient steps, not computed at once.
    pub fn by_steps(&self) -> bool {
        matches!(
            self,
            Self::Transformer(_) | Self::BrainFormer(_) | Self::Mlp(_) | Self::SubjectLinear(_)
        )
    }

    /// Whether it is ridge regression, whatever comes before.
    pub fn is_ridge(&self) -> bool {
        matches!(self, Self::Ridge(_) | Self::AlignedRidge(_))
    }

    pub(crate) fn settings() -> Vec<Setting> {
        [
            TransformerConfig::settings(),
            BrainFormerConfig::settings(),
            MlpConfig::settings(),
            SubjectLinearConfig::settings(),
            RidgeConfig::settings(),
            AlignedRidgeConfig::settings(),
            PrevalenceConfig::settings(),
        ]
        .concat()
    }
}

impl Default for Family {
    fn default() -> Self {
        Self::Transformer(TransformerConfig::default())
    }
}

/// The `model` section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Which model decodes, with the keys it has.
    #[serde(flatten)]
    pub family: Family,
    /// What it reads of a response.
    #[serde(flatten)]
    pub inputs: InputConfig,
}
