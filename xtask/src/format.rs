//! `cargo xtask fmt`: formats the workspace and the fuzz targets, including the modules that
//! a macro declares, which `cargo fmt` does not find.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    fault::{During, Fault},
    process::{self, cargo},
    workspace,
};

/// Where modules are declared by a macro.
const HIDDEN: &str = "apmon-notify/src";

pub(crate) fn run(arguments: &[String]) -> Result<(), Fault> {
    let check = match arguments {
        [] => false,
        [only] if only == "--check" => true,
        _ => return Err(Fault::new("takes --check or nothing")),
    };
    let suffix: &[&str] = if check { &["--check"] } else { &[] };
    process::run(cargo().args(["fmt", "--all"]).args(suffix))?;
    process::run(
        cargo()
            .args(["fmt", "--manifest-path", "fuzz/Cargo.toml"])
            .args(suffix),
    )?;
    let mut unformatted = Vec::new();
    for path in rust_files(&workspace::root().join(HIDDEN))? {
        let text = workspace::read(&path)?;
        let formatted =
            formatted(&text).map_err(|fault| Fault::new(format!("{}: {fault}", path.display())))?;
        if formatted == text {
            continue;
        }
        if !check {
            workspace::write(&path, &formatted)?;
        }
        unformatted.push(workspace::shown(&path));
    }
    if check && !unformatted.is_empty() {
        return Err(Fault::new(format!(
            "not formatted: {}; run cargo xtask fmt",
            unformatted.join(", ")
        )));
    }
    Ok(())
}

/// `text` as rustfmt writes it. From its standard input rustfmt follows no modules.
pub(crate) fn formatted(text: &str) -> Result<String, Fault> {
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024"])
        .current_dir(workspace::root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .during("start rustfmt")?;
    let mut input = rustfmt
        .stdin
        .take()
        .ok_or_else(|| Fault::new("rustfmt has no input"))?;
    // rustfmt reads everything before it writes.
    input.write_all(text.as_bytes()).during("write to rustfmt")?;
    drop(input);
    let output = rustfmt.wait_with_output().during("wait for rustfmt")?;
    if !output.status.success() {
        return Err(Fault::new("rustfmt failed"));
    }
    String::from_utf8(output.stdout).during("read from rustfmt")
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).during(format!("read {}", folder.display()))? {
        let path = entry.during(format!("read {}", folder.display()))?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_formatted_and_modules_are_not_followed() {
        let text = "mod absent;\nfn  f( ) { }\n";
        assert_eq!(formatted(text).unwrap(), "mod absent;\nfn f() {}\n");
        assert!(formatted("fn (").is_err());
    }
}
