//! A kind of monitor: it describes itself, reads its own options and builds
//! its monitors. A new kind is one file and one line in a table.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    config::{Section, fields_of},
    monitor::{Monitor, ProbeMonitor, Watch},
    names::{Names, NoNames},
    network::{NoNetwork, OwnNetwork},
    probe::Probe,
};

/// A kind, as its author writes it.
pub trait Kind: Send + Sync + 'static {
    /// Its own options: a struct, or [`Both`] of two. The doc comments are the operator's reference. A field
    /// that must be given is an `Option` marked `#[schemars(required)]` and
    /// asked for with [`Section::require`], so that its absence is told beside
    /// all other mistakes.
    type Options: OptionSet;

    /// The word after `type:`.
    fn name(&self) -> &'static str;

    /// One line for the operator.
    fn summary(&self) -> &'static str;

    /// What an address looks like, for the reference.
    fn address(&self) -> &'static str;

    /// A monitor of this kind as it stands in a site file, without the dash.
    fn example(&self) -> &'static str;

    /// Schemes by which `apmon check <address>` knows this kind; `""` for a
    /// bare host.
    fn schemes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Checks what no type can (the address, one option against another) and
    /// returns how to build the monitor. Mistakes are noted in `section`.
    fn compile(&self, options: Self::Options, section: &mut Section<'_>) -> Option<Blueprint>;
}

/// The options of a kind, as one struct or as several that kinds share.
/// Implemented for every struct that serde and schemars know.
pub trait OptionSet: Sized {
    /// The names of the options.
    fn fields() -> Vec<&'static str>;
    /// JSON Schema, with the operator's texts.
    fn schema() -> schemars::Schema;
    /// Reads them.
    fn read(section: &mut Section<'_>) -> Option<Self>;
    /// Their values, for the checksum; secrets are hashed.
    fn values(&self) -> serde_json::Value;
}

impl<T: DeserializeOwned + Serialize + JsonSchema> OptionSet for T {
    fn fields() -> Vec<&'static str> {
        fields_of::<T>().to_vec()
    }

    fn schema() -> schemars::Schema {
        schemars::schema_for!(T)
    }

    fn read(section: &mut Section<'_>) -> Option<Self> {
        section.read()
    }

    fn values(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Two sets of options that stand side by side in one section. (serde's
/// `flatten` would lose the types that decide how a text is read.)
#[derive(Debug, Default)]
pub struct Both<A, B>(pub A, pub B);

impl<A: OptionSet, B: OptionSet> OptionSet for Both<A, B> {
    fn fields() -> Vec<&'static str> {
        [A::fields(), B::fields()].concat()
    }

    fn schema() -> schemars::Schema {
        let (mut whole, part) = (A::schema(), B::schema());
        for key in ["properties", "$defs"] {
            let more = part.get(key).and_then(|value| value.as_object()).cloned();
            let into = whole
                .ensure_object()
                .entry(key)
                .or_insert_with(|| serde_json::json!({}));
            if let Some(into) = into.as_object_mut() {
                into.extend(more.unwrap_or_default());
            }
        }
        let required = part.get("required").and_then(|value| value.as_array()).cloned();
        if let Some(more) = required {
            let into = whole
                .ensure_object()
                .entry("required")
                .or_insert_with(|| serde_json::json!([]));
            if let Some(into) = into.as_array_mut() {
                into.extend(more);
            }
        }
        whole
    }

    fn read(section: &mut Section<'_>) -> Option<Self> {
        let (a, b) = (A::read(section), B::read(section));
        Some(Self(a?, b?))
    }

    fn values(&self) -> serde_json::Value {
        serde_json::json!([self.0.values(), self.1.values()])
    }
}

/// Builds a monitor once its site file is known to be good.
pub struct Blueprint(Box<BuildFn>);

type BuildFn = dyn Fn(&Services, Watch) -> Arc<dyn Monitor> + Send + Sync;

impl Blueprint {
    /// From a function that makes the monitor.
    pub fn monitor(build: impl Fn(&Services, Watch) -> Arc<dyn Monitor> + Send + Sync + 'static) -> Self {
        Self(Box::new(build))
    }

    /// From a function that makes a probe; the policy is added to it.
    pub fn probe<P: Probe + 'static>(build: impl Fn(&Services) -> P + Send + Sync + 'static) -> Self {
        Self::monitor(move |services, watch| Arc::new(ProbeMonitor::new(watch, Arc::new(build(services)))))
    }

    /// Builds.
    #[must_use]
    pub fn build(&self, services: &Services, watch: Watch) -> Arc<dyn Monitor> {
        (self.0)(services, watch)
    }
}

impl std::fmt::Debug for Blueprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blueprint")
    }
}

/// A kind as tables hold it. Implemented for every [`Kind`].
pub trait MonitorKind: Send + Sync {
    /// The word after `type:`.
    fn name(&self) -> &'static str;
    /// One line for the operator.
    fn summary(&self) -> &'static str;
    /// What an address looks like.
    fn address(&self) -> &'static str;
    /// A monitor of this kind as it stands in a site file.
    fn example(&self) -> &'static str;
    /// Schemes by which an address alone names this kind.
    fn schemes(&self) -> &'static [&'static str];
    /// The names of its own options.
    fn fields(&self) -> Vec<&'static str>;
    /// JSON Schema of its own options, with the operator's texts.
    fn schema(&self) -> schemars::Schema;
    /// Reads its own options.
    fn read(&self, section: &mut Section<'_>) -> Option<Compiled>;
}

/// A kind's own options, read.
#[derive(Debug)]
pub struct Compiled {
    /// The options' values, for the checksum; secrets are hashed.
    pub options: serde_json::Value,
    /// How to build the monitor.
    pub blueprint: Blueprint,
}

impl<K: Kind> MonitorKind for K {
    fn name(&self) -> &'static str {
        Kind::name(self)
    }

    fn summary(&self) -> &'static str {
        Kind::summary(self)
    }

    fn address(&self) -> &'static str {
        Kind::address(self)
    }

    fn example(&self) -> &'static str {
        Kind::example(self)
    }

    fn schemes(&self) -> &'static [&'static str] {
        Kind::schemes(self)
    }

    fn fields(&self) -> Vec<&'static str> {
        K::Options::fields()
    }

    fn schema(&self) -> schemars::Schema {
        K::Options::schema()
    }

    fn read(&self, section: &mut Section<'_>) -> Option<Compiled> {
        let options = K::Options::read(section)?;
        let values = options.values();
        let blueprint = self.compile(options, section)?;
        Some(Compiled {
            options: values,
            blueprint,
        })
    }
}

/// What monitors share within a process: sockets, a resolver, TLS settings.
/// Each is made when it is first asked for, by its type.
///
/// What kinds of several crates share is provided, before the first monitor is
/// built: `apmon_probes::install(&services)` does that.
#[derive(Default)]
pub struct Services(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Services {
    /// The one `T` of this process.
    ///
    /// # Panics
    /// Never: what is stored under a type is of that type.
    #[must_use]
    pub fn shared<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let any = {
            let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(
                services
                    .entry(TypeId::of::<T>())
                    .or_insert_with(|| Arc::new(T::default())),
            )
        };
        any.downcast().expect("stored under its own type")
    }

    /// From now on `names` looks names up.
    pub fn provide_names(&self, names: Arc<dyn Names>) {
        self.provide(names);
    }

    /// Who looks names up. Where nobody was provided, names are refused as our
    /// own trouble (`Unknown`), and literal addresses work.
    #[must_use]
    pub fn names(&self) -> Arc<dyn Names> {
        Arc::clone(&self.shared::<Provided<dyn Names>>().0)
    }

    /// From now on `network` tells whether our own end is to blame.
    pub fn provide_network(&self, network: Arc<dyn OwnNetwork>) {
        self.provide(network);
    }

    /// Who knows our own end of the network. Where nobody was provided, a
    /// pulled cable of this machine looks like a silent target.
    #[must_use]
    pub fn network(&self) -> Arc<dyn OwnNetwork> {
        Arc::clone(&self.shared::<Provided<dyn OwnNetwork>>().0)
    }

    fn provide<T: ?Sized + Send + Sync + 'static>(&self, it: Arc<T>) {
        let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        services.insert(TypeId::of::<Provided<T>>(), Arc::new(Provided(it)));
    }
}

/// What was brought along, or what stands in for it.
struct Provided<T: ?Sized>(Arc<T>);

impl Default for Provided<dyn Names> {
    fn default() -> Self {
        Self(Arc::new(NoNames))
    }
}

impl Default for Provided<dyn OwnNetwork> {
    fn default() -> Self {
        Self(Arc::new(NoNetwork))
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tools")
    }
}
