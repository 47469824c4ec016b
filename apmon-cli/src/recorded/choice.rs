//! What is shown of a monitor: `--metric`.

use apmon_core::text::{nearest, printable};
use apmon_rrd::{Archive, FileKind, Pair, RrdError, pairs};

use super::place::Recorded;
use crate::rrd::Subject;

/// The most data sources of a chart.
pub(super) const MOST: usize = 4;

/// The data sources of a monitor's files.
pub(super) struct Sources(Vec<(FileKind, Vec<String>)>);

impl Sources {
    /// Reads which there are.
    ///
    /// # Errors
    /// If there are no files, or one cannot be read.
    pub(super) fn read(archive: &Archive, monitor: &str) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for kind in FileKind::ALL {
            match archive.last_values(monitor, kind) {
                Ok(last) => all.push((kind, last.values.into_iter().map(|(name, _)| name).collect())),
                Err(RrdError::Missing(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if all.is_empty() {
            anyhow::bail!("nothing is recorded of \"{}\" yet", printable(monitor));
        }
        Ok(Self(all))
    }

    /// All of the first file, which is APMonitor's.
    pub(super) fn main(&self) -> Subject {
        let (file, sources) = self.0.first().cloned().unwrap_or((FileKind::Metrics, Vec::new()));
        Subject::Sources(file, sources)
    }

    /// The data sources of these names, which must be in one file. `if3` stands for `if3_in` and
    /// `if3_out`.
    ///
    /// # Errors
    /// If there is no such data source, or if they are in different files.
    pub(super) fn choose(&self, metrics: &[String], pairs: &[Pair]) -> anyhow::Result<Subject> {
        let mut chosen: Option<(FileKind, Vec<String>)> = None;
        for metric in metrics {
            let (file, names) = self.of(metric, pairs)?;
            match &mut chosen {
                None => chosen = Some((file, names)),
                Some((of, all)) if *of == file => all.extend(names),
                Some(_) => anyhow::bail!(
                    "{} and {} are recorded in different files; show them one after the other",
                    printable(&metrics[0]),
                    printable(metric)
                ),
            }
        }
        let (file, sources) = chosen.unwrap_or((FileKind::Metrics, Vec::new()));
        Ok(Subject::Sources(file, sources))
    }

    fn of(&self, metric: &str, pairs: &[Pair]) -> anyhow::Result<(FileKind, Vec<String>)> {
        let names = match metric.strip_prefix("if") {
            Some(number) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
                vec![format!("{metric}_in"), format!("{metric}_out")]
            }
            _ => vec![metric.to_owned()],
        };
        let mut files = self.0.iter();
        if let Some((file, _)) = files.find(|(_, sources)| names.iter().all(|name| sources.contains(name))) {
            return Ok((*file, names));
        }
        let words = pairs.iter().map(|pair| -> &str { word(pair) });
        let sources = self.0.iter().flat_map(|(_, sources)| sources);
        let known: Vec<&str> = words.chain(sources.map(String::as_str)).collect();
        let hint = nearest(metric, known.iter().copied());
        let hint = hint.map_or(String::new(), |near| format!("; did you mean {near}?"));
        anyhow::bail!(
            "\"{}\" is not recorded{}; there are {}",
            printable(metric),
            printable(&hint),
            printable(&known.join(", "))
        )
    }
}

/// The word for a pair: `bandwidth`.
pub(super) fn word(pair: &Pair) -> &'static str {
    match pair.suffix {
        "" => "availability",
        suffix => suffix.trim_start_matches('-'),
    }
}

/// What is shown of a monitor: a pair, which one word names, or data sources. Without any, it is
/// the first pair.
///
/// # Errors
/// If something is not recorded.
pub(super) fn subject(archive: &Archive, monitor: &Recorded, metrics: &[String]) -> anyhow::Result<Subject> {
    let pairs = pairs(monitor.kind);
    let named = |wanted: &str| pairs.iter().find(|pair| word(pair) == wanted);
    let pair = match metrics {
        [] => pairs.first(),
        [metric] => named(metric),
        _ => None,
    };
    match pair {
        Some(pair) => Ok(Subject::Pair(pair)),
        None => Sources::read(archive, &monitor.name)?.choose(metrics, pairs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Sources {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Sources(vec![
            (
                FileKind::Snmp,
                names(&["if3_in", "if3_out", "cpu_load", "memory_pct"]),
            ),
            (FileKind::Metrics, names(&["loss_pct"])),
        ])
    }

    fn chosen(metrics: &[&str]) -> Result<Vec<String>, String> {
        let metrics: Vec<String> = metrics.iter().map(|metric| (*metric).to_owned()).collect();
        match sources().choose(&metrics, pairs("ports")) {
            Ok(Subject::Sources(_, sources)) => Ok(sources),
            Ok(Subject::Pair(_)) => panic!("a pair"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn data_sources_are_chosen_by_their_names() {
        assert_eq!(
            chosen(&["if3", "cpu_load"]).unwrap(),
            ["if3_in", "if3_out", "cpu_load"]
        );
        assert_eq!(chosen(&["loss_pct"]).unwrap(), ["loss_pct"]);
        assert_eq!(
            chosen(&["cpu_load", "loss_pct"]).unwrap_err(),
            "cpu_load and loss_pct are recorded in different files; show them one after the other"
        );
    }

    #[test]
    fn what_is_not_recorded_is_answered_with_what_is() {
        let error = chosen(&["cpu_laod"]).unwrap_err();
        assert_eq!(
            error,
            "\"cpu_laod\" is not recorded; did you mean cpu_load?; there are bandwidth, packets, packets-type, errors, \
             retransmits, system, tamper, network, if3_in, if3_out, cpu_load, memory_pct, loss_pct"
        );
        assert!(
            chosen(&["if4"])
                .unwrap_err()
                .starts_with("\"if4\" is not recorded")
        );
    }

    #[test]
    fn a_pair_has_a_word() {
        let words: Vec<_> = pairs("host").iter().map(word).collect();
        assert_eq!(words, ["system1", "system2", "system3", "system4"]);
        assert_eq!(word(&pairs("ping")[0]), "availability");
    }
}
