use crate::input::RdmRow;
use crate::table::Table;

pub(super) fn name(row: &RdmRow) -> String {
    let level = match row.level.as_str() {
        "" => String::new(),
        level => format!("{level} "),
    };
    match row.kind.as_str() {
        "guidance" => format!("{level}guidance"),
        "label" => "labels".to_owned(),
        "token" if row.subject.is_empty() => format!("{level}token"),
        "token" => format!("{}, {}", row.subject, row.level),
        _ if row.subject.is_empty() => row.part.clone(),
        _ => format!("{}, {}", row.part, row.subject),
    }
}

/// The table behind figures of these matrices.
pub(super) fn table(rows: &[&RdmRow]) -> Table {
    Table::of(
        rows.iter().copied(),
        &[
            ("kind", |row| (&row.kind).into()),
            ("level", |row| (&row.level).into()),
            ("subject", |row| {
                match (row.subject.as_str(), row.kind.as_str()) {
                    ("", "token" | "region") => "mean".into(),
                    (subject, _) => subject.into(),
                }
            }),
            ("part", |row| (&row.part).into()),
            ("rho_guidance_high", |row| row.guidance_high.into()),
            ("rho_guidance_low", |row| row.guidance_low.into()),
            ("ceiling_lower", |row| row.ceiling.unzip().0.into()),
            ("ceiling_upper", |row| row.ceiling.unzip().1.into()),
            ("file", |row| {
                let name = row.file.trim_end_matches(".npy");
                (&format!("explain/rdms/{name}.npy")).into()
            }),
        ],
    )
}
