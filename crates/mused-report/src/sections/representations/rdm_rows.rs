use crate::input::RdmRow;
use crate::table::Table;

pub(super) fn name(row: &RdmRow) -> String {
    let level = match row.level.as_str() {
        "" => String::new(),
        level => format!("{level}-level "),
    };
    match row.kind.as_str() {
        "guidance" => format!("{level}guidance"),
        "label" => "labels".to_owned(),
        "token" if row.subject.is_empty() => format!("{level}token, mean"),
        "token" => format!("{}, {}", row.subject, row.level),
        _ if row.subject.is_empty() => row.part.clone(),
        _ => format!("{}, {}", row.part, row.subject),
    }
}

/// The table behind figures of these matrices.
pub(super) fn table(rows: &[&RdmRow]) -> Table {
    let mut table = Table::new(&[
        "kind",
        "level",
        "subject",
        "part",
        "rho_guidance_high",
        "rho_guidance_low",
        "ceiling_lower",
        "ceiling_upper",
        "file",
    ]);
    for row in rows {
        let subject = match (row.subject.as_str(), row.kind.as_str()) {
            ("", "token" | "region") => "mean",
            (subject, _) => subject,
        };
        let (lower, upper) = row.ceiling.unzip();
        let file = format!("explain/rdms/{}.npy", row.file.trim_end_matches(".npy"));
        table.push([
            (&row.kind).into(),
            (&row.level).into(),
            subject.into(),
            (&row.part).into(),
            row.guidance_high.into(),
            row.guidance_low.into(),
            lower.into(),
            upper.into(),
            (&file).into(),
        ]);
    }
    table
}
