//! Everything that was read from an agent in one poll, as it came.

use std::collections::BTreeMap;

use crate::{
    mib::Object,
    oid::Oid,
    value::{Value, Varbind},
};

/// One instance of a column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// What stands behind the column's OID.
    pub index: Vec<u32>,
    /// The value.
    pub value: Value,
}

/// A column of a table, as far as it was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Column {
    /// In the order in which they came.
    pub rows: Vec<Row>,
    /// Why it was not read to its end; `None` where it was. An absent column
    /// has no rows and no trouble.
    pub trouble: Option<String>,
}

/// What one poll read. An object that was not asked for looks like one that
/// the agent does not have.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Harvest {
    scalars: BTreeMap<Vec<u32>, Value>,
    columns: BTreeMap<Object, Column>,
}

impl Harvest {
    /// A scalar was read, or an instance asked for by its whole name.
    pub(crate) fn put(&mut self, varbind: Varbind) {
        if varbind.value.exists() {
            self.scalars.insert(varbind.oid.to_vec(), varbind.value);
        }
    }

    /// A column was read.
    pub(crate) fn put_column(&mut self, object: Object, column: Column) {
        self.columns.insert(object, column);
    }

    /// The scalar `object` (its instance `.0`).
    pub(crate) fn scalar(&self, object: Object) -> Option<&Value> {
        self.instance(object, &[0])
    }

    /// One instance: of what was asked for by its name, or of a column.
    pub(crate) fn instance(&self, object: Object, index: &[u32]) -> Option<&Value> {
        let asked = self.scalars.get(Oid::join(object, index).parts());
        asked.or_else(|| {
            let mut rows = self.rows(object).iter();
            rows.find(|row| row.index == index).map(|row| &row.value)
        })
    }

    /// The rows of a column that have a value.
    pub(crate) fn rows(&self, object: Object) -> &[Row] {
        self.columns.get(object).map_or(&[], |column| &column.rows)
    }

    /// A column's values by index.
    pub(crate) fn by_index(&self, object: Object) -> BTreeMap<&[u32], &Value> {
        let rows = self.rows(object).iter();
        rows.map(|row| (row.index.as_slice(), &row.value)).collect()
    }

    /// Why a column was not read to its end.
    pub(crate) fn trouble(&self, object: Object) -> Option<&str> {
        self.columns.get(object)?.trouble.as_deref()
    }

    /// The agent has at least one row of it.
    pub(crate) fn has(&self, object: Object) -> bool {
        !self.rows(object).is_empty()
    }

    /// From lines `OID|value` of a test.
    #[cfg(test)]
    #[allow(clippy::type_complexity)] // objects, each with its rows, as a test writes them
    pub(crate) fn of(objects: &[(Object, &[(&[u32], Value)])]) -> Self {
        let mut harvest = Self::default();
        for (object, rows) in objects {
            let rows: Vec<Row> = rows
                .iter()
                .map(|(index, value)| Row {
                    index: index.to_vec(),
                    value: value.clone(),
                })
                .collect();
            for row in rows.iter().filter(|row| row.index == [0]) {
                harvest.put(Varbind {
                    oid: Oid::join(object, &row.index),
                    value: row.value.clone(),
                });
            }
            harvest.put_column(object, Column { rows, trouble: None });
        }
        harvest
    }
}
