//! A column of a table, as it was read.

use crate::value::Value;

/// An instance of a column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// What follows the column's OID.
    pub index: Vec<u32>,
    /// The value.
    pub value: Value,
}

/// A column of a table, as far as it was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Column {
    /// The rows, in the order in which the agent sent them.
    pub rows: Vec<Row>,
    /// Why it was not read to its end; `None` if it was. A column that the agent
    /// does not have has no rows and no failure.
    pub failure: Option<String>,
}
