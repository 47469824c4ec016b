//! The agent that a monitor queries. Kinds do not publish it, so they are wrapped: the
//! wrapper reads the agent's options beside them, and records the agent when the
//! monitor is built.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use apmon_core::{
    Blueprint, Compiled, MonitorKind, OptionSet as _, Services,
    config::{Diagnostic, MonitorEntry, Section},
};
use apmon_snmp::{AgentOptions, Target};

use crate::kinds;

/// All kinds; those that query an agent record it.
pub(super) struct Kinds(Vec<RecordingKind>);

struct RecordingKind {
    kind: &'static dyn MonitorKind,
    /// Whether the kind queries an agent.
    has_agent: bool,
}

/// The recorded agents, by the monitors' names.
#[derive(Default)]
struct Targets(Mutex<HashMap<String, Target>>);

impl Kinds {
    pub(super) fn all() -> Self {
        let options = AgentOptions::fields();
        let recording = |kind: &&'static dyn MonitorKind| {
            let fields = kind.fields();
            RecordingKind {
                kind: *kind,
                has_agent: options.iter().all(|option| fields.contains(option)),
            }
        };
        Self(kinds::tables().kinds.iter().map(recording).collect())
    }

    /// The kinds as a table for the site file's reader.
    pub(super) fn table(&self) -> Vec<&dyn MonitorKind> {
        self.0.iter().map(|kind| kind as &dyn MonitorKind).collect()
    }
}

/// The agent of a monitor that was read with [`Kinds`]; `None` if its kind queries
/// none.
pub(super) fn target_of(monitor: &MonitorEntry) -> Option<Target> {
    let services = Services::default();
    let _ = monitor.build(&services);
    let targets = services.shared::<Targets>();
    let mut targets = targets.0.lock().unwrap_or_else(PoisonError::into_inner);
    targets.remove(&monitor.name)
}

impl MonitorKind for RecordingKind {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn summary(&self) -> &'static str {
        self.kind.summary()
    }

    fn address(&self) -> &'static str {
        self.kind.address()
    }

    fn example(&self) -> &'static str {
        self.kind.example()
    }

    fn schemes(&self) -> &'static [&'static str] {
        self.kind.schemes()
    }

    fn fields(&self) -> Vec<&'static str> {
        self.kind.fields()
    }

    fn schema(&self) -> schemars::Schema {
        self.kind.schema()
    }

    fn read(&self, section: &mut Section<'_>) -> Option<Compiled> {
        let compiled = self.kind.read(section)?;
        if !self.has_agent {
            return Some(compiled);
        }
        // The kind has found no error in these options, so there is none here.
        let options = AgentOptions::read(section)?;
        let target = Target::read(section, options)?;
        let blueprint = Blueprint::monitor(move |services, watch| {
            let targets = services.shared::<Targets>();
            let mut targets = targets.0.lock().unwrap_or_else(PoisonError::into_inner);
            targets.insert(watch.name.clone(), target.clone());
            drop(targets);
            compiled.blueprint.build(services, watch)
        });
        Some(Compiled {
            options: compiled.options,
            masked: compiled.masked,
            blueprint,
        })
    }

    fn check_together(&self, monitors: &[&MonitorEntry], errors: &mut Vec<Diagnostic>) {
        self.kind.check_together(monitors, errors);
    }

    fn is_built(&self) -> bool {
        self.kind.is_built()
    }
}
