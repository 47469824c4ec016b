use apmon_core::{
    Compiled,
    config::{Diagnostic, Section},
};
use apmon_probes::Tcp;

use super::*;

/// The kind `tcp`, of which a process may check each address only once.
struct TcpOnce;

impl MonitorKind for TcpOnce {
    fn name(&self) -> &'static str {
        MonitorKind::name(&Tcp)
    }

    fn summary(&self) -> &'static str {
        MonitorKind::summary(&Tcp)
    }

    fn address(&self) -> &'static str {
        MonitorKind::address(&Tcp)
    }

    fn example(&self) -> &'static str {
        MonitorKind::example(&Tcp)
    }

    fn schemes(&self) -> &'static [&'static str] {
        MonitorKind::schemes(&Tcp)
    }

    fn fields(&self) -> Vec<&'static str> {
        MonitorKind::fields(&Tcp)
    }

    fn schema(&self) -> schemars::Schema {
        MonitorKind::schema(&Tcp)
    }

    fn read(&self, section: &mut Section<'_>) -> Option<Compiled> {
        MonitorKind::read(&Tcp, section)
    }

    fn check_together(&self, monitors: &[&MonitorEntry], errors: &mut Vec<Diagnostic>) {
        for monitor in monitors {
            let is_same = |other: &&&MonitorEntry| other.address == monitor.address && other.at != monitor.at;
            errors.extend(monitors.iter().find(is_same).map(|other| Diagnostic {
                at: monitor.at,
                within: format!("monitor \"{}\"", monitor.name),
                text: format!("has the address of the monitor at {}", other.at),
            }));
        }
    }
}

/// Site files in one directory, read with the kind above alone.
struct Files(tempfile::TempDir);

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, monitor: &str, port: u16) {
        let text = format!(
            "site: {{name: {monitor}}}\nmonitors:\n- {{type: tcp, name: {monitor}, address: 'tcp://h:{port}'}}\n"
        );
        std::fs::write(self.path(name), text).unwrap();
    }

    /// What a reload of the file does: its monitors, or its errors.
    fn reload(&self, name: &str, all: &[&str]) -> Result<usize, String> {
        let all: Vec<_> = all.iter().map(|name| self.path(name)).collect();
        let tables = Tables {
            kinds: &[&TcpOnce],
            ..kinds::tables()
        };
        let file = load_beside(&self.path(name), &all, tables);
        let directory = format!("{}/", self.0.path().display());
        file.map(|file| file.monitors.len())
            .map_err(|error| error.to_string().replace(&directory, ""))
    }
}

#[test]
fn a_reload_that_contradicts_another_site_of_the_process_is_refused() {
    let files = Files(tempfile::tempdir().unwrap());
    let all = ["a.yaml", "b.yaml", "c.yaml"];
    files.write("a.yaml", "a", 1);
    files.write("b.yaml", "b", 2);
    files.write("c.yaml", "c", 3);
    assert_eq!(files.reload("b.yaml", &all), Ok(1));
    files.write("b.yaml", "b", 1);
    assert_eq!(
        files.reload("b.yaml", &all).unwrap_err(),
        "b.yaml:3:3: monitor \"b\": has the address of the monitor at a.yaml:3:3\n\
         a.yaml:3:3: monitor \"a\": has the address of the monitor at b.yaml:3:3"
    );
    assert_eq!(files.reload("c.yaml", &all), Ok(1), "it is not about this file");
    files.write("b.yaml", "b", 4);
    assert_eq!(files.reload("b.yaml", &all), Ok(1));
}

#[test]
fn a_site_file_that_is_invalid_by_itself_does_not_keep_the_others_from_reloading() {
    let files = Files(tempfile::tempdir().unwrap());
    files.write("a.yaml", "a", 1);
    std::fs::write(files.path("b.yaml"), "monitors: 1\n").unwrap();
    assert_eq!(
        files.reload("a.yaml", &["a.yaml", "b.yaml", "missing.yaml"]),
        Ok(1)
    );
}
