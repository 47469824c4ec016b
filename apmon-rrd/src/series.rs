//! What was read from a file.

/// The values of all data sources of a file, at equal steps.
#[derive(Clone, PartialEq, Debug)]
pub struct Fetched {
    /// The end of the first step, in seconds since the epoch.
    pub start: i64,
    /// The seconds of a step.
    pub step: u64,
    /// The names of the data sources.
    pub sources: Vec<String>,
    /// Row after row, a value for each data source; NaN where it is not known.
    pub values: Vec<f64>,
}

impl Fetched {
    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.sources.len()).unwrap_or(0)
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The time of a row: the end of its step.
    #[must_use]
    pub fn at(&self, row: usize) -> i64 {
        let rows = i64::try_from(row).unwrap_or(i64::MAX);
        let step = i64::try_from(self.step).unwrap_or(i64::MAX);
        self.start.saturating_add(rows.saturating_mul(step))
    }

    /// The values of a data source, oldest first.
    #[must_use]
    pub fn column(&self, source: &str) -> Option<Vec<f64>> {
        let column = self.sources.iter().position(|name| name == source)?;
        Some(
            self.values
                .iter()
                .skip(column)
                .step_by(self.sources.len())
                .copied()
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_what_belongs_to_one_source() {
        let fetched = Fetched {
            start: 120,
            step: 60,
            sources: vec!["in".to_owned(), "out".to_owned()],
            values: vec![1.0, 2.0, 3.0, 4.0],
        };
        assert_eq!(fetched.len(), 2);
        assert_eq!(fetched.at(1), 180);
        assert_eq!(fetched.column("out"), Some(vec![2.0, 4.0]));
        assert_eq!(fetched.column("nothing"), None);
    }
}
