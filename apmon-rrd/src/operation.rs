//! What is written into a file, and what is known about one.

use crate::schema::{DataSource, Schema};

/// Values for one file.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Update {
    /// The names of the data sources, in the order of the values. Sources of the file that are
    /// not named get an unknown value.
    pub names: Vec<String>,
    /// The values, oldest first.
    pub points: Vec<Point>,
}

/// The values of one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Point {
    /// The moment, in seconds since the epoch.
    pub at: i64,
    /// A value for each name.
    pub values: Vec<Value>,
}

/// A value that is written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Value {
    /// Nothing is known.
    Unknown,
    /// A whole number, the only one that counters accept.
    Count(u64),
    /// Any number. What is not finite is written as unknown.
    Figure(f64),
}

/// What became of an [`Update`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Updated {
    /// How many points are in the file.
    pub stored: usize,
    /// The moments that were refused, and why. Points before and after them are stored.
    pub refused: Vec<(i64, String)>,
}

/// What a file consists of.
#[derive(Clone, PartialEq, Debug)]
pub struct FileInfo {
    /// Its data sources and archives.
    pub schema: Schema,
    /// The moment of the last update, in seconds since the epoch.
    pub last_update: i64,
    /// Its bytes.
    pub size: u64,
    /// The version of its format, such as `0003`.
    pub version: String,
}

/// The values of the last update, as they were written: counters are counts.
#[derive(Clone, PartialEq, Debug)]
pub struct LastValues {
    /// The moment, in seconds since the epoch.
    pub at: i64,
    /// The data sources and their values; `None` is unknown.
    pub values: Vec<(String, Option<f64>)>,
}

/// How a file is changed without losing what is in it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tune {
    /// Data sources that are added behind those of the file. Their past is unknown.
    pub add: Vec<DataSource>,
    /// Archives by their place in the file, from 0, and the number of rows that they get more,
    /// or less.
    pub rows: Vec<(usize, i64)>,
    /// Data sources and their new heartbeats.
    pub heartbeat: Vec<(String, u64)>,
}

impl Tune {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.rows.is_empty() && self.heartbeat.is_empty()
    }
}
