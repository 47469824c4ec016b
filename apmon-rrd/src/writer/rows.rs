//! The values that wait to be written into one file.

use std::collections::{BTreeMap, VecDeque};

use crate::operation::{Point, Update, Value};

/// The most rows that wait for one file. If it cannot be written, the oldest are lost.
pub(super) const MOST: usize = 64;

/// The values of one check, for the first of the names that it knew of.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Row {
    pub(super) at: i64,
    pub(super) values: Vec<Value>,
    /// Counters that do not continue, by their places.
    pub(super) resets: Vec<usize>,
}

/// The names of a file's data sources, and rows of values for them.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) names: Vec<String>,
    rows: VecDeque<Row>,
}

/// What became of a row that was added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Added {
    /// It is one more.
    New,
    /// It took the place of another one of the same second.
    Replaced,
    /// It is older than the last one: the clock was set back.
    TooOld,
    /// There were too many: the oldest is lost.
    OldestLost,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn first_at(&self) -> Option<i64> {
        self.rows.front().map(|row| row.at)
    }

    pub(super) fn last_at(&self) -> Option<i64> {
        self.rows.back().map(|row| row.at)
    }

    /// The place of a name, which is added if it is new.
    pub(super) fn place(&mut self, name: &str) -> usize {
        match self.names.iter().position(|known| known == name) {
            Some(place) => place,
            None => {
                self.names.push(name.to_owned());
                self.names.len() - 1
            }
        }
    }

    pub(super) fn push(&mut self, row: Row) -> Added {
        match self.rows.back_mut() {
            Some(last) if last.at == row.at => {
                // A reset that the earlier one of the two has seen is not forgotten.
                let resets = std::mem::take(&mut last.resets);
                *last = row;
                last.resets.extend(resets);
                last.resets.sort_unstable();
                last.resets.dedup();
                return Added::Replaced;
            }
            Some(last) if last.at > row.at => return Added::TooOld,
            _ => self.rows.push_back(row),
        }
        match self.rows.len() > MOST {
            true => {
                self.lose(1);
                Added::OldestLost
            }
            false => Added::New,
        }
    }

    /// Loses the oldest rows. What they knew of resets passes to the next one, whose counters
    /// would otherwise be compared with those before the reset.
    fn lose(&mut self, count: usize) {
        let lost: Vec<usize> = self.rows.drain(..count).flat_map(|row| row.resets).collect();
        if let Some(next) = self.rows.front_mut() {
            next.resets.extend(lost);
            next.resets.sort_unstable();
            next.resets.dedup();
        }
    }

    /// Takes the rows that end before `before`.
    pub(super) fn take(&mut self, before: Option<i64>) -> Vec<Row> {
        let count = match before {
            Some(before) => self.rows.iter().take_while(|row| row.at < before).count(),
            None => self.rows.len(),
        };
        self.rows.drain(..count).collect()
    }

    /// Puts rows back that could not be written. Returns how many are lost.
    pub(super) fn put_back(&mut self, rows: Vec<Row>) -> usize {
        for row in rows.into_iter().rev() {
            self.rows.push_front(row);
        }
        let lost = self.rows.len().saturating_sub(MOST);
        self.lose(lost);
        lost
    }

    /// Marks the first count of each source as reset if it is below the last one of the file.
    pub(super) fn mark_below(&mut self, counts: &BTreeMap<String, f64>) {
        for (place, name) in self.names.iter().enumerate() {
            let Some(last) = counts.get(name) else { continue };
            let first = self.rows.iter_mut().find_map(|row| match row.values.get(place) {
                Some(Value::Count(count)) => Some((*count, row)),
                _ => None,
            });
            #[allow(clippy::cast_precision_loss)] // so is what it is compared with
            if let Some((count, row)) = first
                && (count as f64) < *last
                && !row.resets.contains(&place)
            {
                row.resets.push(place);
            }
        }
    }

    /// Forgets all rows. Returns how many there were.
    pub(super) fn clear(&mut self) -> usize {
        let count = self.rows.len();
        self.rows.clear();
        count
    }
}

/// The update that writes `rows`, for those names that the file `has`. `last` is the moment of the
/// file's last update.
///
/// Where a counter does not continue, it is unknown one second before the row: then exactly one step
/// is unknown. Unknown in the row itself, it would lose two, because the next count has nothing to
/// be compared with. What continues has its new value at both moments: it has grown as much.
pub(super) fn update(names: &[String], has: &dyn Fn(&str) -> bool, rows: &[Row], last: i64) -> Update {
    let places: Vec<usize> = (0..names.len()).filter(|place| has(&names[*place])).collect();
    let mut points = Vec::with_capacity(rows.len());
    let mut last = last;
    for row in rows {
        let value = |place: &usize| row.values.get(*place).copied().unwrap_or(Value::Unknown);
        let is_reset = |place: &usize| row.resets.contains(place);
        let all = || places.iter().map(value).collect();
        let with_resets = || {
            let values = places.iter().map(|place| match is_reset(place) {
                true => Value::Unknown,
                false => value(place),
            });
            values.collect()
        };
        let any_reset = places.iter().any(is_reset);
        let at = row.at;
        match any_reset {
            true if at - 1 > last => {
                points.push(Point {
                    at: at - 1,
                    values: with_resets(),
                });
                points.push(Point { at, values: all() });
            }
            // There is no second between them.
            true => points.push(Point {
                at,
                values: with_resets(),
            }),
            false => points.push(Point { at, values: all() }),
        }
        last = at;
    }
    Update {
        names: places.into_iter().map(|place| names[place].clone()).collect(),
        points,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(at: i64, values: &[u64]) -> Row {
        Row {
            at,
            values: values.iter().map(|value| Value::Count(*value)).collect(),
            resets: Vec::new(),
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn points(update: &Update) -> Vec<(i64, String)> {
        let text = |value: &Value| match value {
            Value::Unknown => "U".to_owned(),
            Value::Count(count) => count.to_string(),
            Value::Figure(figure) => figure.to_string(),
        };
        let line = |point: &Point| point.values.iter().map(text).collect::<Vec<_>>().join(":");
        update
            .points
            .iter()
            .map(|point| (point.at, line(point)))
            .collect()
    }

    fn all(_: &str) -> bool {
        true
    }

    #[test]
    fn of_two_checks_in_one_second_the_last_counts() {
        let mut rows = Rows::default();
        let mut reset = row(7, &[1]);
        reset.resets = vec![0];
        assert_eq!(rows.push(reset), Added::New);
        assert_eq!(rows.push(row(7, &[2])), Added::Replaced);
        assert_eq!(rows.push(row(6, &[3])), Added::TooOld);
        assert_eq!(rows.push(row(8, &[4])), Added::New);
        let taken = rows.take(None);
        assert_eq!(taken.len(), 2);
        assert_eq!(
            (&taken[0].values, &taken[0].resets),
            (&vec![Value::Count(2)], &vec![0])
        );
    }

    #[test]
    fn a_second_that_has_not_ended_stays() {
        let mut rows = Rows::default();
        rows.push(row(7, &[1]));
        rows.push(row(8, &[1]));
        assert_eq!(rows.take(Some(8)).len(), 1);
        assert_eq!(rows.first_at(), Some(8));
    }

    #[test]
    fn rows_that_cannot_be_written_are_bounded() {
        let mut rows = Rows::default();
        for at in 0..i64::try_from(MOST).unwrap() {
            assert_eq!(rows.push(row(at, &[1])), Added::New);
        }
        assert_eq!(rows.push(row(1_000, &[1])), Added::OldestLost);
        let taken = rows.take(None);
        rows.push(row(1_001, &[1]));
        assert_eq!(rows.put_back(taken), 1);
        assert_eq!((rows.len(), rows.first_at()), (MOST, Some(2)));
    }

    #[test]
    fn a_reset_in_a_lost_row_is_not_forgotten() {
        let mut rows = Rows::default();
        let mut reset = row(0, &[1, 2]);
        reset.resets = vec![1];
        rows.push(reset);
        for at in 1..=i64::try_from(MOST).unwrap() {
            rows.push(row(at, &[1, 2]));
        }
        let taken = rows.take(None);
        assert_eq!((taken[0].at, &taken[0].resets), (1, &vec![1]));
    }

    #[test]
    fn a_reset_is_unknown_one_second_before() {
        let mut reset = row(160, &[5, 700]);
        reset.resets = vec![0];
        let update = update(&names(&["a", "b"]), &all, &[row(100, &[50, 600]), reset], 40);
        assert_eq!(
            points(&update),
            [
                (100, "50:600".to_owned()),
                (159, "U:700".to_owned()),
                (160, "5:700".to_owned())
            ]
        );
    }

    #[test]
    fn a_reset_without_a_second_between_is_unknown_itself() {
        let mut reset = row(101, &[5, 700]);
        reset.resets = vec![0];
        let of_two = update(
            &names(&["a", "b"]),
            &all,
            &[row(100, &[50, 600]), reset.clone()],
            40,
        );
        assert_eq!(points(&of_two)[1], (101, "U:700".to_owned()));
        let after_the_file = update(&names(&["a", "b"]), &all, &[reset], 100);
        assert_eq!(points(&after_the_file), [(101, "U:700".to_owned())]);
    }

    #[test]
    fn a_count_below_that_of_the_file_is_a_reset() {
        let mut rows = Rows::default();
        rows.place("a");
        rows.place("b");
        rows.push(row(100, &[5, 700]));
        rows.push(row(160, &[6, 1]));
        rows.mark_below(&[("a".to_owned(), 50.0), ("b".to_owned(), 700.0)].into());
        let taken = rows.take(None);
        assert_eq!((&taken[0].resets, &taken[1].resets), (&vec![0], &vec![]));
    }

    #[test]
    fn only_what_the_file_has_is_written() {
        let mut rows = Rows::default();
        assert_eq!((rows.place("a"), rows.place("b"), rows.place("a")), (0, 1, 0));
        let mut reset = row(160, &[1, 2]);
        reset.resets = vec![1];
        // The first row is from before `b` was known.
        let update = update(&rows.names, &|name| name == "a", &[row(100, &[9]), reset], 0);
        assert_eq!(update.names, ["a"]);
        assert_eq!(points(&update), [(100, "9".to_owned()), (160, "1".to_owned())]);
    }
}
