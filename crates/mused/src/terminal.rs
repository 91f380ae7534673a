//! What is said on standard output and standard error. Either may be full, or its reader gone: work goes on. Names come
//! from files: control characters among them are shown, not obeyed.

use std::borrow::Cow;
use std::fmt::{Arguments, Write as _};
use std::io::{self, ErrorKind, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

static LOST: AtomicBool = AtomicBool::new(false);
static QUIET: AtomicBool = AtomicBool::new(false);

/// As `println!` of the standard library, which would panic.
macro_rules! println {
    () => { $crate::terminal::say(format_args!("\n")) };
    ($($arguments:tt)*) => { $crate::terminal::say(format_args!("{}\n", format_args!($($arguments)*))) };
}

/// As `print!` of the standard library, which would panic.
macro_rules! print {
    ($($arguments:tt)*) => { $crate::terminal::say(format_args!($($arguments)*)) };
}

/// As `eprintln!` of the standard library, which would panic.
macro_rules! eprintln {
    () => { $crate::terminal::remark(format_args!("\n")) };
    ($($arguments:tt)*) => { $crate::terminal::remark(format_args!("{}\n", format_args!($($arguments)*))) };
}

/// Says how far work has come on standard error, unless nobody wants to know.
macro_rules! progress {
    ($($arguments:tt)*) => {
        if !$crate::terminal::quiet() {
            $crate::terminal::remark(format_args!("{}\n", format_args!($($arguments)*)))
        }
    };
}

/// Leaves progress out from now on.
pub(crate) fn hush() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether progress is left out.
pub(crate) fn quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Writes to standard output.
pub(crate) fn say(text: Arguments<'_>) {
    let said = io::stdout().write_all(clean(&text.to_string()).as_bytes());
    // Who stops reading has read enough.
    if said.is_err_and(|error| error.kind() != ErrorKind::BrokenPipe) {
        LOST.store(true, Ordering::Relaxed);
    }
}

/// Writes to standard error.
pub(crate) fn remark(text: Arguments<'_>) {
    // There is no other place to say that it failed.
    let _ = io::stderr().write_all(clean(&text.to_string()).as_bytes());
}

/// Whether something of standard output could not be written.
pub(crate) fn lost() -> bool {
    let flushed = io::stdout().flush();
    flushed.is_err_and(|error| error.kind() != ErrorKind::BrokenPipe)
        || LOST.load(Ordering::Relaxed)
}

/// A text whose control characters, and those that reverse its direction, stand as JSON writes them.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let raw = |c: char| match c {
        '\n' | '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    };
    if !text.contains(raw) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match raw(c) {
            // Writing to a String cannot fail.
            true => drop(write!(clean, "\\u{:04x}", u32::from(c))),
            false => clean.push(c),
        }
    }
    Cow::Owned(clean)
}
