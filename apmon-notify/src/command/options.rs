//! The options of one entry of `site.outage_commands`.

use apmon_core::{
    Secret,
    config::{Seconds, Section, Text},
    text::printable,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::path::{Found, find, shown_program};

/// Options of one entry of `site.outage_commands`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct CommandOptions {
    /// The program: an absolute path, or a name that is searched for in `PATH`. No
    /// shell is involved.
    #[schemars(required)]
    pub program: Option<Text>,
    /// The arguments, passed on unchanged. They are never shown.
    #[serde(default)]
    pub args: Vec<Secret>,
    /// Timeout in seconds, after which the program and everything it started are
    /// killed. Default: `max_try_secs`.
    pub timeout_secs: Option<Seconds>,
}

/// Reads an entry, and checks what types cannot.
pub(super) fn read(section: &mut Section<'_>) -> Option<CommandOptions> {
    let options = section.read::<CommandOptions>()?;
    section.require("program", options.program.as_ref());
    let program = options.program.as_ref().map_or("", Text::as_str);
    if program.contains('\0') {
        section.error("program", "must not contain a NUL character");
    } else if program.contains(' ') && !program.starts_with('/') {
        section.error(
            "program",
            "contains a space: no shell is involved, so arguments belong in \"args\"",
        );
    } else if !program.is_empty() {
        hint_at_missing(section, program);
    }
    if options
        .args
        .iter()
        .any(|argument| argument.reveal().contains('\0'))
    {
        section.error("args", "must not contain a NUL character");
    }
    Some(options)
}

/// Adds a hint if the program does not exist or cannot be executed. It is not an error:
/// the program may be installed before it is needed.
fn hint_at_missing(section: &mut Section<'_>, program: &str) {
    let shown = shown_program(program);
    let shown = printable(&shown);
    match find(program, std::env::var_os("PATH").as_deref()) {
        Found::Program => {}
        Found::Nothing if program.contains('/') => {
            section.hint("program", format!("does not exist: {shown}"));
        }
        Found::Nothing => section.hint("program", format!("is not in PATH: {shown}")),
        Found::NotExecutable => section.hint("program", format!("is not executable: {shown}")),
    }
}
