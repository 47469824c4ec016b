//! The columns and rows that a walk returns.

use crate::value::Value;

/// A row of a column: one instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The sub-identifiers that follow the column's OID.
    pub index: Vec<u32>,
    /// The value of the instance.
    pub value: Value,
}

/// A column of a table, as far as it was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Column {
    /// The rows, in the order in which the agent sent them.
    pub rows: Vec<Row>,
    /// The reason why the column was not read to its end; `None` if it was. A column that the
    /// agent does not have has no rows and no failure.
    pub failure: Option<String>,
}
