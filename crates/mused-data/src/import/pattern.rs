//! File patterns with named places, as `sub-{subject}/rdm_{roi}.npy`.

/// What a pattern can capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Subject,
    Roi,
    Session,
    Task,
    Run,
}

impl Place {
    const ALL: [Self; 5] = [
        Self::Subject,
        Self::Roi,
        Self::Session,
        Self::Task,
        Self::Run,
    ];

    /// As it stands in a pattern.
    fn name(self) -> &'static str {
        match self {
            Self::Subject => "{subject}",
            Self::Roi => "{roi}",
            Self::Session => "{session}",
            Self::Task => "{task}",
            Self::Run => "{run}",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name {
            "subject" => Some(Self::Subject),
            "roi" => Some(Self::Roi),
            "session" => Some(Self::Session),
            "task" => Some(Self::Task),
            "run" => Some(Self::Run),
            _ => None,
        }
    }

    fn allows(self, character: char) -> bool {
        match self {
            Self::Subject => character.is_alphanumeric() || character == '-',
            Self::Roi => character.is_alphanumeric() || "-_.".contains(character),
            Self::Session | Self::Task | Self::Run => character.is_alphanumeric(),
        }
    }
}

/// What a path has at the places of a pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Captured {
    pub(crate) subject: Option<String>,
    pub(crate) roi: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) task: Option<String>,
    pub(crate) run: Option<String>,
}

impl Captured {
    fn get(&self, place: Place) -> Option<&str> {
        match place {
            Place::Subject => self.subject.as_deref(),
            Place::Roi => self.roi.as_deref(),
            Place::Session => self.session.as_deref(),
            Place::Task => self.task.as_deref(),
            Place::Run => self.run.as_deref(),
        }
    }

    fn at(&mut self, place: Place) -> &mut Option<String> {
        match place {
            Place::Subject => &mut self.subject,
            Place::Roi => &mut self.roi,
            Place::Session => &mut self.session,
            Place::Task => &mut self.task,
            Place::Run => &mut self.run,
        }
    }
}

/// One folder or file name of a pattern: text, then places each followed by text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    start: String,
    places: Vec<(Place, String)>,
}

impl Component {
    /// The name itself, where there is no place in it.
    pub(crate) fn literal(&self) -> Option<&str> {
        self.places.is_empty().then_some(self.start.as_str())
    }

    /// What `name` has at the places, given what folders above it had; `None` if it does not match.
    ///
    /// Without backtracking: a place ends where the text after it first occurs, the last place
    /// where the name without its final text ends. So each name has one reading.
    pub(crate) fn captures(&self, name: &str, so_far: &Captured) -> Option<Captured> {
        let mut captured = so_far.clone();
        let mut rest = name.strip_prefix(self.start.as_str())?;
        for (index, (place, text)) in self.places.iter().enumerate() {
            let value = if index + 1 == self.places.len() {
                rest.strip_suffix(text.as_str())?
            } else {
                let (value, after) = rest.split_once(text.as_str())?;
                rest = after;
                value
            };
            if value.is_empty() || !value.chars().all(|character| place.allows(character)) {
                return None;
            }
            match captured.at(*place) {
                Some(before) if before != value => return None,
                slot => *slot = Some(value.to_owned()),
            }
        }
        (!self.places.is_empty() || rest.is_empty()).then_some(captured)
    }
}

/// Splits a pattern at `/` and into places, among which all of `required` must be.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn parse(pattern: &str, required: &[Place]) -> Result<Vec<Component>, String> {
    let components: Vec<Component> = pattern
        .split('/')
        .map(parse_component)
        .collect::<Result<_, _>>()?;
    for place in required {
        if !components
            .iter()
            .flat_map(|part| &part.places)
            .any(|(found, _)| found == place)
        {
            return Err(format!("expected {} in it", place.name()));
        }
    }
    Ok(components)
}

/// The pattern with what was captured in its places.
///
/// # Errors
/// A place that nothing was captured for.
pub(crate) fn fill(pattern: &str, captured: &Captured) -> Result<String, String> {
    let mut filled = pattern.to_owned();
    for place in Place::ALL
        .into_iter()
        .filter(|p| pattern.contains(p.name()))
    {
        let value = captured
            .get(place)
            .ok_or_else(|| format!("{} is not known here", place.name()))?;
        filled = filled.replace(place.name(), value);
    }
    match filled.find('{') {
        None => Ok(filled),
        Some(_) => Err(format!(
            "expected only {{subject}}, {{session}}, {{task}} and {{run}} in braces, found {pattern:?}"
        )),
    }
}

fn parse_component(component: &str) -> Result<Component, String> {
    let (start, mut rest) = component.split_at(component.find('{').unwrap_or(component.len()));
    let mut places = Vec::new();
    while let Some(after_brace) = rest.strip_prefix('{') {
        let (name, after) = after_brace
            .split_once('}')
            .ok_or_else(|| "expected } after {".to_owned())?;
        let place = Place::parse(name).ok_or_else(|| {
            let known = Place::ALL.map(Place::name).join(", ");
            format!("expected one of {known}, found {{{name}}}")
        })?;
        let (text, next) = after.split_at(after.find('{').unwrap_or(after.len()));
        if text.is_empty() && !next.is_empty() {
            return Err(format!("expected text between {{{name}}} and {next}"));
        }
        places.push((place, text.to_owned()));
        rest = next;
    }
    Ok(Component {
        start: start.to_owned(),
        places,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Place; 2] = [Place::Subject, Place::Roi];

    fn read(pattern: &str, name: &str) -> Option<(String, String)> {
        let component = parse(pattern, &BOTH).unwrap().pop().unwrap();
        let captured = component.captures(name, &Captured::default())?;
        Some((captured.subject?, captured.roi?))
    }

    #[test]
    fn subjects_have_no_underscore_and_regions_may() {
        let pattern = "cv_rdm_sub-{subject}_{roi}-v2.npy";
        let found = read(pattern, "cv_rdm_sub-sid000005_lh_EV-v2.npy").unwrap();
        assert_eq!(found, ("sid000005".to_owned(), "lh_EV".to_owned()));
        assert_eq!(read(pattern, "cv_rdm_sub-sid000005_lh_EV-v1.npy"), None);
        assert_eq!(read(pattern, "cv_rdm_sub-_lh_EV-v2.npy"), None);
        assert_eq!(read(pattern, "cv_rdm_sub-a b_lh_EV-v2.npy"), None);
        let found = read("{roi}_sub-{subject}.npy", "lh_EV_sub-01.npy").unwrap();
        assert_eq!(found, ("01".to_owned(), "lh_EV".to_owned()));
    }

    #[test]
    fn a_place_that_occurs_twice_is_the_same_twice() {
        let pattern = "{subject}_{roi}_{subject}.npy";
        assert!(read(pattern, "a_V1_a.npy").is_some());
        assert!(read(pattern, "a_V1_b.npy").is_none());
    }

    #[test]
    fn unclear_patterns_are_refused() {
        for (pattern, message) in [
            ("{subject}.npy", "expected {roi} in it"),
            (
                "{subject}{roi}.npy",
                "expected text between {subject} and {roi}.npy",
            ),
            (
                "{sub}_{roi}.npy",
                "expected one of {subject}, {roi}, {session}, {task}, {run}, found {sub}",
            ),
            ("{subject", "expected } after {"),
        ] {
            assert_eq!(parse(pattern, &BOTH).unwrap_err(), message);
        }
    }
}
