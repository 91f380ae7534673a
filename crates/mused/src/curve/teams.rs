//! Who is trained together, and who is scored by it.

/// Subjects that one model is trained on, and those whose scores by it count.
#[derive(Debug, PartialEq)]
pub(super) struct Team {
    pub(super) trained: Vec<usize>,
    pub(super) scored: Vec<usize>,
}

/// Teams of `size` that score everybody once. Subjects stand in a circle in a drawn order, which is cut into parts. A part
/// is scored by the team that begins with it; new subjects by the one that stands opposite, without any of the part. Of
/// sizes that divide one another, and of all, few are among many.
pub(super) fn teams(order: &[usize], size: usize, new: bool) -> Vec<Team> {
    let everybody = order.len();
    let (part, ahead) = match new {
        false => (size, 0),
        true => {
            let part = size.min(everybody.saturating_sub(size));
            (part, part + (everybody - part - size) / 2)
        }
    };
    let team = |first: usize| {
        let trained = order.iter().cycle().skip(first + ahead).take(size);
        let mut trained: Vec<usize> = trained.copied().collect();
        trained.sort_unstable();
        let scored = order.iter().skip(first).take(part).copied();
        Team {
            trained,
            scored: scored.collect(),
        }
    };
    (0..everybody).step_by(part.max(1)).map(team).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ORDER: [usize; 9] = [4, 0, 7, 2, 8, 5, 1, 6, 3];

    #[test]
    fn everybody_is_scored_once_by_as_many() {
        for people in 2..=9 {
            let order: Vec<usize> = ORDER.into_iter().filter(|&who| who < people).collect();
            for new in [false, true] {
                for size in 1..=people - usize::from(new) {
                    let teams = teams(&order, size, new);
                    let mut scored: Vec<usize> =
                        teams.iter().flat_map(|team| team.scored.clone()).collect();
                    scored.sort_unstable();
                    assert_eq!(
                        scored,
                        (0..people).collect::<Vec<_>>(),
                        "{people} {size} {new}"
                    );
                    for team in &teams {
                        let trained: BTreeSet<usize> = team.trained.iter().copied().collect();
                        assert_eq!(trained.len(), size);
                        let own = team.scored.iter().filter(|who| trained.contains(who));
                        let expected = if new { 0 } else { team.scored.len() };
                        assert_eq!(own.count(), expected, "{people} {size} {new}");
                    }
                }
            }
        }
    }

    #[test]
    fn few_are_among_many() {
        let order = &ORDER[..8];
        for new in [false, true] {
            let sizes = [1, 2, 4, 8 - usize::from(new)];
            for pair in sizes.windows(2) {
                let [few, many] = [pair[0], pair[1]].map(|size| teams(order, size, new));
                for who in 0..9 {
                    let of = |teams: &[Team]| {
                        let team = teams.iter().find(|team| team.scored.contains(&who));
                        team.map(|team| team.trained.iter().copied().collect::<BTreeSet<usize>>())
                    };
                    let (few, many) = (of(&few), of(&many));
                    assert_eq!(few.is_some(), many.is_some());
                    if let (Some(few), Some(many)) = (few, many) {
                        assert!(few.is_subset(&many), "{new} {pair:?} {who}");
                    }
                }
            }
        }
    }
}
