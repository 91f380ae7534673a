//! Runs that differ in their seed alone, and which of two models' runs belong together.

/// A model and its runs, one a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Seeded<T> {
    /// Name of the model.
    pub model: String,
    /// Seed (`None` where it is not known) and run, in the order they came in.
    pub runs: Vec<(Option<u64>, T)>,
}

impl<T> Seeded<T> {
    /// Runs by model, in the order of the models' first runs. Each comes with its model's name and its seed; runs of one
    /// name are of one model where `same` finds no other difference between its first run and them.
    pub fn grouped(
        runs: impl IntoIterator<Item = (String, Option<u64>, T)>,
        same: impl Fn(&T, &T) -> bool,
    ) -> Vec<Self> {
        let mut models: Vec<Self> = Vec::new();
        for (model, seed, run) in runs {
            let of_it = |known: &&mut Self| {
                known.model == model
                    && known
                        .runs
                        .first()
                        .is_some_and(|(_, first)| same(first, &run))
            };
            match models.iter_mut().find(of_it) {
                Some(known) => known.runs.push((seed, run)),
                None => models.push(Self {
                    model,
                    runs: vec![(seed, run)],
                }),
            }
        }
        models
    }
}

/// The runs of two models that have the same seed, in the order of the first model's; each run once. A run whose seed is
/// not known is held against another where it is the only one of its model, and so is the other.
pub fn paired<'t, T>(
    a: &'t [(Option<u64>, T)],
    b: &'t [(Option<u64>, T)],
) -> Vec<(Option<u64>, &'t T, &'t T)> {
    if let ([(seed, one)], [(other, two)]) = (a, b)
        && (seed.is_none() || other.is_none())
    {
        return vec![(None, one, two)];
    }
    let mut free: Vec<&(Option<u64>, T)> = b.iter().collect();
    let partner = |(seed, run): &'t (Option<u64>, T)| {
        let place = free
            .iter()
            .position(|(other, _)| seed.is_some() && other == seed)?;
        Some((*seed, run, &free.remove(place).1))
    };
    a.iter().filter_map(partner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_grouped_by_model_and_what_else_differs() {
        let runs = [("a", 1, "x"), ("b", 1, "x"), ("a", 2, "x"), ("a", 1, "y")];
        let runs = runs.map(|(model, seed, run)| (model.to_owned(), Some(seed), run));
        let models = Seeded::grouped(runs, |a, b| a == b);
        let found: Vec<_> = models
            .iter()
            .map(|m| (m.model.as_str(), m.runs.as_slice()))
            .collect();
        assert_eq!(
            found,
            [
                ("a", [(Some(1), "x"), (Some(2), "x")].as_slice()),
                ("b", [(Some(1), "x")].as_slice()),
                ("a", [(Some(1), "y")].as_slice()),
            ]
        );
    }

    #[test]
    fn runs_are_paired_by_the_value_of_their_seed() {
        let a = [(Some(0), "a0"), (Some(1), "a1"), (Some(2), "a2")];
        let b = [
            (Some(2), "b2"),
            (Some(3), "b3"),
            (Some(0), "b0"),
            (Some(2), "again"),
        ];
        assert_eq!(
            paired(&a, &b),
            [(Some(0), &"a0", &"b0"), (Some(2), &"a2", &"b2")]
        );
        assert_eq!(paired(&a[1..2], &b), []);
    }

    #[test]
    fn a_run_without_a_seed_is_held_against_a_single_one() {
        let (a, unknown) = ([(Some(0), "a0"), (Some(1), "a1")], [(None, "b")]);
        assert_eq!(paired(&a[..1], &unknown), [(None, &"a0", &"b")]);
        assert_eq!(paired(&a, &unknown), []);
        let two = [(None, "b"), (None, "c")];
        assert_eq!(paired(&two, &two), []);
    }
}
