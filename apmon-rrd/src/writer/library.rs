//! What the writer asks of librrd. A trait, so that tests can have it refuse things.

use std::path::Path;

use crate::{
    client::{Librrd, Pending},
    error::RrdError,
    operation::{FileInfo, LastValues, Tune, Update, Updated},
    schema::Schema,
};

pub(crate) trait Library: Send + Sync {
    fn info(&self, path: &Path) -> Result<FileInfo, RrdError>;
    fn create(&self, path: &Path, schema: &Schema, last_update: i64) -> Result<(), RrdError>;
    fn tune(&self, path: &Path, tune: &Tune) -> Result<(), RrdError>;
    fn last_values(&self, path: &Path) -> Result<LastValues, RrdError>;
    fn update(&self, path: &Path, update: &Update) -> Begun;
}

/// An update that has begun.
pub(crate) enum Begun {
    Pending(Pending),
    #[cfg(test)]
    Ended(Result<Updated, RrdError>),
}

impl Begun {
    pub(super) fn wait(self) -> Result<Updated, RrdError> {
        match self {
            Self::Pending(pending) => pending.wait(),
            #[cfg(test)]
            Self::Ended(result) => result,
        }
    }
}

impl Library for Librrd {
    fn info(&self, path: &Path) -> Result<FileInfo, RrdError> {
        self.info(path)
    }

    fn create(&self, path: &Path, schema: &Schema, last_update: i64) -> Result<(), RrdError> {
        self.create(path, schema, last_update)
    }

    fn tune(&self, path: &Path, tune: &Tune) -> Result<(), RrdError> {
        self.tune(path, tune)
    }

    fn last_values(&self, path: &Path) -> Result<LastValues, RrdError> {
        self.last_values(path)
    }

    fn update(&self, path: &Path, update: &Update) -> Begun {
        Begun::Pending(self.update(path, update))
    }
}
