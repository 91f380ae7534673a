//! What stands beside the weights in a model's file.

use mused_data::Layout;
use mused_model::{DecoderConfig, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Stored beside the weights: everything needed to build the model again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelDescription {
    pub(crate) model: Architecture,
    /// Subjects trained on, in the order of their tokens.
    pub(crate) subjects: Vec<String>,
    pub(crate) labels: Vec<String>,
    /// Networks whose logits are averaged; 1 of a closed form.
    #[serde(default = "alone", skip_serializing_if = "is_alone")]
    pub(crate) members: usize,
}

fn alone() -> usize {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_alone(members: &usize) -> bool {
    *members == 1
}

impl ModelDescription {
    /// What the model is, where it cannot be one of these subjects and labels that reads inputs of such a layout.
    pub(crate) fn misfit(&self, layout: &Layout) -> Option<String> {
        let (reads, labels) = match &self.model {
            Architecture::Network(DecoderConfig::Roi(network)) => {
                let lengths: Vec<usize> = match &network.tokenizer {
                    Tokenizer::Regions { lengths } => lengths.clone(),
                    Tokenizer::Patches { count, length } => vec![*length; *count],
                };
                let slots: Vec<usize> = layout.slots().iter().map(|slot| slot.length).collect();
                (lengths == slots, network.labels)
            }
            Architecture::Network(DecoderConfig::BrainFormer(network)) => {
                let reads =
                    matches!(layout, Layout::Grid { cuboid } if cuboid.shape == network.grid);
                (reads, network.labels)
            }
            Architecture::Network(DecoderConfig::Mlp(network)) => {
                (network.inputs == layout.width(), network.labels)
            }
            Architecture::Network(DecoderConfig::SubjectLinear(network)) => {
                (network.inputs == layout.width(), network.labels)
            }
            Architecture::Linear(linear) => (linear.inputs == layout.width(), linear.labels),
        };
        if !reads {
            let (slots, width) = (layout.slots().len().max(1), layout.width());
            return Some(format!(
                "one of others than {slots} parts of {width} values in all"
            ));
        }
        if labels != self.labels.len() {
            return Some(format!(
                "one of {labels} labels, with {} names",
                self.labels.len()
            ));
        }
        let subjects = self.model.subjects();
        (subjects > 1 && subjects != self.subjects.len()).then(|| {
            format!(
                "one of {subjects} subjects, with {} names",
                self.subjects.len()
            )
        })
    }
}

/// What a model is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Architecture {
    /// Trained by gradient steps.
    Network(DecoderConfig),
    /// Computed at once.
    Linear(LinearDescription),
}

impl Architecture {
    /// Subjects that are told apart by tokens; 1 = nobody is.
    pub(crate) fn subjects(&self) -> usize {
        match self {
            Self::Network(network) => network.subjects(),
            Self::Linear(_) => 1,
        }
    }

    /// The network it is.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn network(&self) -> Result<&DecoderConfig> {
        match self {
            Self::Network(network) => Ok(network),
            Self::Linear(linear) => Err(Error::Request(format!(
                "expected a network, found a model of family {:?}",
                linear.family
            ))),
        }
    }
}

/// What a linear model is; stored with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinearDescription {
    pub(crate) family: LinearFamily,
    pub(crate) alignment: Aligned,
    /// Length of an input row.
    pub(crate) inputs: usize,
    pub(crate) labels: usize,
}

/// How the weights came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LinearFamily {
    Ridge,
    Prevalence,
}

/// How subjects came into one space before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Aligned {
    None,
    Procrustes,
    Srm,
}
