//! Which agent a monitor asks: read by its kind, handed to whoever builds it.

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

/// All kinds; those that ask an agent tell which one.
pub(super) struct Kinds(Vec<Telling>);

struct Telling {
    kind: &'static dyn MonitorKind,
    asks: bool,
}

/// What was told, by the monitors' names.
#[derive(Default)]
struct Targets(Mutex<HashMap<String, Target>>);

impl Kinds {
    pub(super) fn all() -> Self {
        let options = AgentOptions::fields();
        let telling = |kind: &&'static dyn MonitorKind| {
            let fields = kind.fields();
            Telling {
                kind: *kind,
                asks: options.iter().all(|option| fields.contains(option)),
            }
        };
        Self(kinds::all().iter().map(telling).collect())
    }

    /// As the site file's reader wants them.
    pub(super) fn table(&self) -> Vec<&dyn MonitorKind> {
        self.0.iter().map(|kind| kind as &dyn MonitorKind).collect()
    }
}

/// The agent that a monitor asks, which was read by [`Kinds`]; `None` where its
/// kind asks none.
pub(super) fn target_of(monitor: &MonitorEntry) -> Option<Target> {
    let services = Services::default();
    let _ = monitor.build(&services);
    let targets = services.shared::<Targets>();
    let mut targets = targets.0.lock().unwrap_or_else(PoisonError::into_inner);
    targets.remove(&monitor.name)
}

impl MonitorKind for Telling {
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
        if !self.asks {
            return Some(compiled);
        }
        // Its kind found nothing wrong, so neither is there now.
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
}
