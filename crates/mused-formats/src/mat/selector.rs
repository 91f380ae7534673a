use crate::{Error, Result};

/// A step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Index(Vec<usize>),
    Field(String),
}

#[derive(Debug)]
pub(super) struct Selector {
    pub(super) steps: Vec<Step>,
}

/// `RDMs[0,1].RDM` → (`RDMs`, `[0,1].RDM`).
pub(super) fn split_variable(selector: &str) -> (&str, &str) {
    selector.split_at(selector.find(['[', '.']).unwrap_or(selector.len()))
}

impl Selector {
    /// Parses what follows the variable's name.
    pub(super) fn parse(variable: &str, text: &str) -> Result<Self> {
        let invalid = |rest: &str| {
            let expected = "indices such as [0,3] or a field such as .image";
            Error::malformed(
                format!("selector {variable}{text}"),
                expected,
                format!("{rest:?}"),
            )
        };
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let (indices, after) = after.split_once(']').ok_or_else(|| invalid(rest))?;
                let indices: std::result::Result<_, _> = indices
                    .split(',')
                    .map(|index| index.trim().parse())
                    .collect();
                steps.push(Step::Index(indices.map_err(|_| invalid(rest))?));
                rest = after;
            } else if let Some(after) = rest.strip_prefix('.') {
                let (field, after) = split_variable(after);
                if field.is_empty() {
                    return Err(invalid(rest));
                }
                steps.push(Step::Field(field.to_owned()));
                rest = after;
            } else {
                return Err(invalid(rest));
            }
        }
        Ok(Self { steps })
    }
}
