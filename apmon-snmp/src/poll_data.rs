//! The raw values that one poll read from an agent.

use std::collections::BTreeMap;

use apmon_snmp_client::{Column, Oid, Row, Value, Varbind};

use crate::mib::Object;

/// The raw values that one poll read. An object that was not requested looks like one
/// that the agent does not have.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct PollData {
    scalars: BTreeMap<Vec<u32>, Value>,
    columns: BTreeMap<Object, Column>,
}

impl PollData {
    /// Adds a scalar, or an instance that was requested by its full OID.
    pub(crate) fn put(&mut self, varbind: Varbind) {
        if varbind.value.exists() {
            self.scalars.insert(varbind.oid.to_vec(), varbind.value);
        }
    }

    /// Adds a column.
    pub(crate) fn put_column(&mut self, object: Object, column: Column) {
        self.columns.insert(object, column);
    }

    /// The value of the scalar `object` (its instance `.0`).
    pub(crate) fn scalar(&self, object: Object) -> Option<&Value> {
        self.instance(object, &[0])
    }

    /// The value of one instance, whether requested by its full OID or read in a column.
    pub(crate) fn instance(&self, object: Object, index: &[u32]) -> Option<&Value> {
        let single = self.scalars.get(Oid::join(object, index).parts());
        single.or_else(|| {
            let mut rows = self.rows(object).iter();
            rows.find(|row| row.index == index).map(|row| &row.value)
        })
    }

    /// The rows of a column that have a value.
    pub(crate) fn rows(&self, object: Object) -> &[Row] {
        self.columns.get(object).map_or(&[], |column| &column.rows)
    }

    /// The values of a column, by index.
    pub(crate) fn by_index(&self, object: Object) -> BTreeMap<&[u32], &Value> {
        let rows = self.rows(object).iter();
        rows.map(|row| (row.index.as_slice(), &row.value)).collect()
    }

    /// The reason why a column was not read to its end; `None` if it was.
    pub(crate) fn failure(&self, object: Object) -> Option<&str> {
        self.columns.get(object)?.failure.as_deref()
    }

    /// Whether a column has any rows.
    pub(crate) fn has(&self, object: Object) -> bool {
        !self.rows(object).is_empty()
    }

    /// Builds the data of a test.
    #[cfg(test)]
    #[allow(clippy::type_complexity)] // objects, each with its rows, as a test writes them
    pub(crate) fn of(objects: &[(Object, &[(&[u32], Value)])]) -> Self {
        let mut data = Self::default();
        for (object, rows) in objects {
            let rows: Vec<Row> = rows
                .iter()
                .map(|(index, value)| Row {
                    index: index.to_vec(),
                    value: value.clone(),
                })
                .collect();
            for row in rows.iter().filter(|row| row.index == [0]) {
                data.put(Varbind {
                    oid: Oid::join(object, &row.index),
                    value: row.value.clone(),
                });
            }
            data.put_column(object, Column { rows, failure: None });
        }
        data
    }
}
