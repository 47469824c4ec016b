//! Services that the monitors and channels of a process share.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    names::{Names, ProvidedNames},
    network::{NoNetwork, OwnNetwork},
    notification::HeartbeatSender,
};

/// The services that the monitors and channels of a process share: sockets, a
/// resolver, TLS settings, an HTTP client. Each is identified by its type and created
/// on first use.
///
/// Services that several crates use are provided before the first monitor or channel
/// is built: `apmon_probes::install(&services)` provides the resolver and the state
/// of the own network, `apmon_notify::install(&services)` the sender of heartbeats.
#[derive(Default)]
pub struct Services(Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Services {
    /// The `T` of this process.
    ///
    /// # Panics
    /// Never: each value is stored under its own type.
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

    /// Provides the resolver.
    pub fn provide_names(&self, names: Arc<dyn Names>) {
        self.shared::<ProvidedNames>().set(names);
    }

    /// The resolver. If none was provided, names fail as our own fault (`Unknown`), and
    /// literal addresses work. One that is provided later is used from then on.
    #[must_use]
    pub fn names(&self) -> Arc<dyn Names> {
        self.shared::<ProvidedNames>()
    }

    /// Provides the state of our own end of the network.
    pub fn provide_network(&self, network: Arc<dyn OwnNetwork>) {
        self.provide(network);
    }

    /// The state of our own end of the network. If none was provided, an unplugged
    /// cable of this machine cannot be told apart from a target that does not answer.
    #[must_use]
    pub fn network(&self) -> Arc<dyn OwnNetwork> {
        Arc::clone(&self.shared::<Provided<dyn OwnNetwork>>().0)
    }

    /// Provides the sender of heartbeats.
    pub fn provide_heartbeats(&self, sender: Arc<dyn HeartbeatSender>) {
        self.provide(sender);
    }

    /// The sender of heartbeats, if one was provided.
    #[must_use]
    pub fn heartbeats(&self) -> Option<Arc<dyn HeartbeatSender>> {
        let services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let provided = services.get(&TypeId::of::<Provided<dyn HeartbeatSender>>())?;
        let provided = provided.downcast_ref::<Provided<dyn HeartbeatSender>>()?;
        Some(Arc::clone(&provided.0))
    }

    fn provide<T: ?Sized + Send + Sync + 'static>(&self, it: Arc<T>) {
        let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        services.insert(TypeId::of::<Provided<T>>(), Arc::new(Provided(it)));
    }
}

/// A service that was provided, or its default.
struct Provided<T: ?Sized>(Arc<T>);

impl Default for Provided<dyn OwnNetwork> {
    fn default() -> Self {
        Self(Arc::new(NoNetwork))
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Services")
    }
}
