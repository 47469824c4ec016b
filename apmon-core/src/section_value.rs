//! A value of a type that only its owner knows.

use std::{any::Any, fmt, sync::Arc};

/// The value that a [`SectionKind`](crate::SectionKind) has read, of a type of its own.
#[derive(Clone)]
pub struct SectionValue(Arc<dyn Any + Send + Sync>);

impl SectionValue {
    /// Wraps a value.
    pub fn new<T: Any + Send + Sync>(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// The value if it is a `T`.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for SectionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SectionValue") // it may hold passwords
    }
}
