//! A methods paragraph with this run's numbers, and what is needed to make it again.

mod paragraphs;
mod reproduction;

use super::Input;
use crate::figure::Section;

/// The methods paragraph, and what is needed to make the run again.
pub(crate) fn methods(input: &Input<'_>) -> Section {
    let mut section = Section::new("methods", "Methods and reproduction");
    paragraphs::add(&mut section, input);
    reproduction::add(&mut section, input);
    section
}
