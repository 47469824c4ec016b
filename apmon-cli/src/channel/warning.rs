//! What the channels of a site do that its author may not expect.

use std::path::Path;

use apmon_core::{config::SiteFile, text::printable};

use super::listing::{self, Entry, Sort};

/// All of it, a sentence each.
pub(crate) fn warnings(file: &SiteFile, entries: &[Entry<'_>]) -> Vec<String> {
    let mut warnings = Vec::new();
    let id = |entry: &Entry<'_>| printable(&entry.id).into_owned();
    for command in &file.outage_commands {
        let program = listing::program(command);
        let shown = printable(program);
        match found(program, std::env::var_os("PATH").as_deref()) {
            Found::Program => {}
            Found::Nothing if program.contains('/') => {
                warnings.push(format!("outage_commands: there is no program {shown}"));
            }
            Found::Nothing => {
                warnings.push(format!("outage_commands: there is no program {shown} in PATH"));
            }
            Found::NotExecutable => {
                warnings.push(format!("outage_commands: {shown} is not executable"));
            }
        }
    }
    for stand_in in entries {
        let stands_in = |entry: &&Entry<'_>| {
            entry.common.then.is_some() && entry.common.then.as_ref() == stand_in.common.name.as_ref()
        };
        let stood: Vec<_> = entries.iter().filter(stands_in).map(id).collect();
        if stood.is_empty() {
            continue;
        }
        let (stand_in_id, stood) = (id(stand_in), stood.join(", "));
        warnings.push(format!(
            "{stand_in_id} stands in for {stood}: it is told nothing else"
        ));
        let quiet = file.monitors.iter().filter(|monitor| !monitor.email.value);
        if let (Sort::Mail, count @ 1..) = (stand_in.sort, quiet.count()) {
            warnings.push(format!(
                "{stand_in_id} is mail and stands in for {stood}: of {count} monitors with email: no it is told nothing"
            ));
        }
    }
    warnings
}

#[derive(PartialEq, Eq, Debug)]
enum Found {
    Program,
    NotExecutable,
    Nothing,
}

/// As execvp looks for it: by its path, or in the directories of `path`.
fn found(program: &str, path: Option<&std::ffi::OsStr>) -> Found {
    if program.contains('/') {
        return at(Path::new(program));
    }
    let directories = path.map(std::env::split_paths).into_iter().flatten();
    let mut best = Found::Nothing;
    for directory in directories {
        match at(&directory.join(program)) {
            Found::Program => return Found::Program,
            Found::NotExecutable => best = Found::NotExecutable,
            Found::Nothing => {}
        }
    }
    best
}

fn at(path: &Path) -> Found {
    match path.metadata() {
        Err(_) => Found::Nothing,
        Ok(there) if there.is_file() && may_run(&there) => Found::Program,
        Ok(_) => Found::NotExecutable,
    }
}

/// By anybody: apmon may run as another user than who asks.
#[cfg(unix)]
fn may_run(file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn may_run(_: &std::fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_where_it_would_be_started_from() {
        let path = Some(std::ffi::OsStr::new("/nowhere:/etc:/bin"));
        assert_eq!(found("/bin/sh", None), Found::Program);
        assert_eq!(found("sh", path), Found::Program);
        assert_eq!(found("sh", None), Found::Nothing);
        assert_eq!(found("passwd", Some("/etc".as_ref())), Found::NotExecutable);
        assert_eq!(found("/etc", None), Found::NotExecutable, "a directory");
        assert_eq!(found("/etc/no/such", None), Found::Nothing);
    }
}
