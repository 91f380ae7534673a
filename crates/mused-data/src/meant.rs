//! Which of the known names somebody meant.

/// Names that are listed in a message: more are no help.
const LISTED: usize = 30;

/// The known name that `name` was probably meant to be: the fewest letters changed, missing or swapped, and of equal ones
/// the one that begins most alike; `None` where nothing is near.
pub fn meant<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let wanted = name.to_lowercase();
    let slips = |known: &str| strsim::osa_distance(&wanted, &known.to_lowercase());
    let near = known.into_iter().filter(|known| {
        let longest = wanted.chars().count().max(known.chars().count());
        let within = !wanted.is_empty() && known.to_lowercase().contains(&wanted);
        let slips = slips(known);
        slips * 3 < longest || (slips < 2 && longest > 2) || within
    });
    let alike = |known: &str| strsim::jaro_winkler(&wanted, &known.to_lowercase());
    near.min_by(|a, b| {
        let fewer = slips(a).cmp(&slips(b));
        fewer.then_with(|| alike(b).total_cmp(&alike(a)))
    })
}

/// "one of a, b; did you mean b?": the names there are, and the one that `name` is near.
pub fn one_of(name: &str, known: &[&str]) -> String {
    let listed = known.get(..LISTED).unwrap_or(known).join(", ");
    let more = match known.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let meant = meant(name, known.iter().copied());
    let hint = meant.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
    format!("one of {listed}{more}{hint}")
}

#[cfg(test)]
mod tests {
    use super::{meant, one_of};

    #[test]
    fn swapped_letters_are_one_slip_and_strangers_are_nobody() {
        let known = ["fire hydrant", "face", "fork", "dining table"];
        let found = |name| meant(name, known);
        assert_eq!(found("faec"), Some("face"));
        assert_eq!(found("Face"), Some("face"));
        assert_eq!(found("table"), Some("dining table"));
        assert_eq!(found("zebra"), None);
        assert_eq!(found(""), None);
    }

    #[test]
    fn of_many_names_the_first_are_listed() {
        let known: Vec<String> = (1..=200).map(|number| format!("sub-{number:03}")).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let text = one_of("sub-20", &known);
        assert!(
            text.contains("sub-030 and 170 more; did you mean sub-"),
            "{text}"
        );
        assert_eq!(one_of("x", &["a", "b"]), "one of a, b");
    }
}
