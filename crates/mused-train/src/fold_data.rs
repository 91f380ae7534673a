use std::sync::Arc;

use mused_data::{Guidance, InputTransform};

use crate::model_file::ModelDescription;
use crate::sample_set::SampleSet;

/// What a model is fitted and tested on; read-only meanwhile.
pub(crate) struct FoldData<'d> {
    pub(crate) train: SampleSet<'d>,
    pub(crate) validation: SampleSet<'d>,
    pub(crate) test: SampleSet<'d>,
    /// A held-out subject's responses to the training stimuli, where it is to be aligned by them.
    pub(crate) unlabelled: Option<SampleSet<'d>>,
    pub(crate) transform: Arc<InputTransform>,
    pub(crate) description: ModelDescription,
}

/// Guidance of the two levels.
pub(crate) struct Guides {
    pub(crate) high: Option<Guidance>,
    pub(crate) low: Option<Guidance>,
}
