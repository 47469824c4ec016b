//! Values that a test sets while net-snmp's agent runs.

use std::{fs, path::Path};

use tempfile::TempDir;

/// The program that net-snmp's `pass` runs. It looks up each request in a file of lines `OID
/// type value`.
const PROGRAM: &str = r#"#!/bin/sh
exec awk -v way="$1" -v asked="${2#.}" '
    function after(one, other,  a, b, m, n, i) {
        m = split(one, a, "."); n = split(other, b, ".")
        for (i = 1; i <= m && i <= n; i++) if (a[i] != b[i]) return a[i] + 0 > b[i] + 0
        return m > n
    }
    (way == "-g" && $1 == asked) || (way == "-n" && after($1, asked)) {
        oid = $1; type = $2; sub(/^[^ ]+ [^ ]+ /, ""); print "." oid; print type; print; exit
    }' "${0%/*}/values"
"#;

/// The columns of an agent's table whose values a test sets.
pub struct PassScript {
    directory: TempDir,
    entry: &'static str,
    columns: &'static [u32],
}

impl PassScript {
    /// Replaces these columns below `entry`; none of the agent's own values remain.
    pub fn new(entry: &'static str, columns: &'static [u32]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("program"), PROGRAM).unwrap();
        let pass_script = Self {
            directory,
            entry,
            columns,
        };
        pass_script.set(&[]);
        pass_script
    }

    /// The lines for the agent's options file, one for each column: the agent registers its own
    /// columns that way, and a more precise OID takes precedence over a priority.
    pub fn lines(&self) -> String {
        let program = self.path("program");
        let line = |column| {
            format!(
                "pass -p 10 .{}.{column} /bin/sh {}\n",
                self.entry,
                program.display()
            )
        };
        self.columns.iter().map(line).collect()
    }

    /// Sets the values, given as `column.index type value` in the order of their OIDs, with types
    /// as in snmpd.conf(5).
    pub fn set(&self, values: &[&str]) {
        let lines = values.iter().map(|value| format!("{}.{value}\n", self.entry));
        // In one step, because the agent may be reading.
        let new = self.path("new");
        fs::write(&new, lines.collect::<String>()).unwrap();
        fs::rename(new, self.path("values")).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.directory.path()).join(name)
    }
}
