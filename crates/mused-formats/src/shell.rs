use std::path::Path;

/// A path as an argument of a command that people copy into a shell.
pub fn quoted(path: impl AsRef<Path>) -> String {
    let path = path.as_ref().display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    // Else it would be an option.
    let path = match path.starts_with('-') {
        true => format!("./{path}"),
        false => path,
    };
    match !path.is_empty() && path.chars().all(plain) {
        true => path,
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_what_was_meant() {
        for name in [
            "runs/a-1",
            "my run",
            "it's; rm -rf $HOME",
            "-x",
            "",
            "a\tb",
            "größe",
        ] {
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(name))])
                .output()
                .unwrap();
            let meant = if name == "-x" { "./-x" } else { name };
            assert_eq!(String::from_utf8(output.stdout).unwrap(), meant);
        }
        assert_eq!(quoted("data/mine"), "data/mine");
    }
}
