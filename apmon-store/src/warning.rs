//! Warnings about values that cannot be read.

use apmon_core::text::printable;

/// Most warnings listed for one file; the rest are counted.
const MOST_LISTED: usize = 50;

/// Collects the warnings about one file.
pub(crate) struct Warnings<'a> {
    place: &'a str,
    listed: Vec<String>,
    unlisted: usize,
}

impl<'a> Warnings<'a> {
    /// `place` names the file at the start of each warning.
    pub(crate) fn new(place: &'a str) -> Self {
        Self {
            place,
            listed: Vec::new(),
            unlisted: 0,
        }
    }

    pub(crate) fn add(&mut self, text: &str) {
        if self.listed.len() < MOST_LISTED {
            self.listed.push(format!("{}: {}", self.place, printable(text)));
        } else {
            self.unlisted += 1;
        }
    }

    pub(crate) fn into_list(self) -> Vec<String> {
        let Self {
            place,
            mut listed,
            unlisted,
        } = self;
        match unlisted {
            0 => {}
            1 => listed.push(format!("{place}: 1 more warning is not shown")),
            n => listed.push(format!("{place}: {n} more warnings are not shown")),
        }
        listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_beyond_the_fiftieth_are_counted() {
        let list = |count| {
            let mut warnings = Warnings::new("s.json");
            (0..count).for_each(|_| warnings.add("bad\n"));
            warnings.into_list()
        };
        assert_eq!(list(1), ["s.json: bad\\n"]);
        assert_eq!(list(50).len(), 50);
        assert_eq!(list(51)[50], "s.json: 1 more warning is not shown");
        assert_eq!(list(80)[50], "s.json: 30 more warnings are not shown");
    }
}
