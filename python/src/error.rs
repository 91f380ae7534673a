//! Errors of the facade as exceptions of `mused._errors`.

use mused::{Error, Fault};
use pyo3::{PyErr, import_exception};

import_exception!(mused._errors, ConfigError);
import_exception!(mused._errors, DataError);
import_exception!(mused._errors, Interrupted);
import_exception!(mused._errors, LeakageError);
import_exception!(mused._errors, MusedError);

/// The exception of an error: its message, in words of Python where the facade's name options of the command line, and the
/// file or folder at fault.
pub(crate) fn raised(error: impl Into<Error>) -> PyErr {
    let error = error.into();
    let path = error.path().map(ToOwned::to_owned);
    let message = in_python(&error);
    match error.fault() {
        Fault::Data => DataError::new_err((message, path)),
        Fault::Config => ConfigError::new_err((message, path)),
        Fault::Leaks(_) => LeakageError::new_err((message, path)),
        Fault::Stopped => Interrupted::new_err((message, path)),
        _ => MusedError::new_err((message, path)),
    }
}

fn in_python(error: &Error) -> String {
    match error {
        Error::OtherData { path, difference } => format!(
            "{} was made on another dataset (what differs: {difference}): choose another `out`, or remove it",
            path.display()
        ),
        Error::OtherSettings { path } => format!(
            "{} was made with other settings: choose another `out`, or remove it",
            path.display()
        ),
        Error::Interrupted(path) => format!(
            "training of {} was stopped and saved; the same call goes on",
            path.display()
        ),
        other => match other.fault() {
            Fault::Leaks(findings) => {
                let listed: Vec<String> = findings.iter().map(ToString::to_string).collect();
                let first = findings.first().map_or("", |finding| finding.leak.name());
                format!(
                    "test data could reach training:\n  {}\nmend the data or their groups, or let it pass, on record, with \
                     audit_allow=[{first:?}]",
                    listed.join("\n  ")
                )
            }
            _ => other.to_string(),
        },
    }
}
