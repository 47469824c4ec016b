//! Retired words: `words.txt` lists them, with what is said instead.

use std::{collections::BTreeSet, sync::LazyLock};

use super::{
    Breach,
    prose::{self, Content},
};

/// A line with this and a reason, or the line below, may use a retired word.
/// Written in two parts, so that this file grants nothing.
const PERMIT: &str = concat!("allow-", "word:");

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("words.txt")));

#[derive(Default)]
struct Table {
    text: Vec<Rule>,
    code: Vec<Rule>,
    types: Vec<Rule>,
    modules: Vec<Rule>,
    keys: Vec<Pattern>,
    fine: Vec<Pattern>,
}

struct Rule {
    pattern: Pattern,
    instead: String,
}

/// Words in a row, each with its alternatives; none is any word.
struct Pattern(Vec<Vec<String>>);

/// The breaches of one file; its name says how it is read.
pub(super) fn check(file: &str, text: &str) -> Vec<Breach> {
    TABLE.check(file, text)
}

impl Table {
    /// Reads the list. A line that cannot be read is a bug that the tests find.
    fn read(list: &str) -> Self {
        let mut table = Self::default();
        for line in list
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (kind, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let (words, instead) = rest.split_once('=').unwrap_or((rest, ""));
            let pattern = Pattern::read(words);
            let instead = instead.trim().to_owned();
            let rules = match kind {
                "text" => &mut table.text,
                "code" => &mut table.code,
                "type" => &mut table.types,
                "mod" => &mut table.modules,
                "key" => {
                    table.keys.push(pattern);
                    continue;
                }
                _ => {
                    table.fine.push(pattern);
                    continue;
                }
            };
            rules.push(Rule { pattern, instead });
        }
        table
    }

    fn check(&self, file: &str, text: &str) -> Vec<Breach> {
        let content = match file.rsplit('.').next() {
            Some("rs" | "in") => Content::of_rust(text),
            Some("md") => Content::of_markdown(text),
            _ => Content::of_hash_comments(text),
        };
        let mut found: BTreeSet<(usize, String)> = BTreeSet::new();
        for words in &content.prose {
            let plain: Vec<Option<&str>> = words
                .iter()
                .map(|word| word.as_ref().map(|(word, _)| word.as_str()))
                .collect();
            for (at, shown, instead) in self.matches(&self.text, &plain) {
                let line = words[at].as_ref().map_or(1, |(_, line)| *line);
                found.insert((line, format!("\"{shown}\": say {instead}")));
            }
        }
        let is_on_disk = |key: &str| self.keys.iter().any(|pattern| pattern.is(&[Some(key)]));
        let keys = content.keys.iter().filter(|(key, _)| !is_on_disk(key));
        for (name, line) in content.names.iter().chain(keys) {
            found.extend(self.in_name(name).map(|text| (*line, text)));
        }
        let mut breaches = Vec::new();
        let stem = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".rs");
        if file.ends_with(".rs") {
            let module = self.modules.iter().find(|rule| rule.pattern.is(&[Some(stem)]));
            let module = module.map(|rule| format!("\"{stem}\": say {}", rule.instead));
            if let Some(text) = module.or_else(|| self.in_name(stem)) {
                breaches.push(Breach::new(file, 1, format!("the file's name: {text}")));
            }
        }
        breaches.extend(permitted(file, text, found));
        breaches
    }

    /// What is wrong with an identifier, if anything.
    fn in_name(&self, name: &str) -> Option<String> {
        if let Some(rule) = self.types.iter().find(|rule| rule.pattern.is(&[Some(name)])) {
            return Some(format!("\"{name}\": say {}", rule.instead));
        }
        let words = prose::split(name);
        let words: Vec<Option<&str>> = words.iter().map(|word| Some(word.as_str())).collect();
        let rules = self.text.iter().chain(&self.code);
        let (_, shown, instead) = self.matches(rules, &words).into_iter().next()?;
        let whole = if name == shown {
            String::new()
        } else {
            format!(" in \"{name}\"")
        };
        Some(format!("\"{shown}\"{whole}: say {instead}"))
    }

    /// Place, words and replacement of each match that is not fine.
    fn matches<'a>(
        &self,
        rules: impl IntoIterator<Item = &'a Rule>,
        words: &[Option<&str>],
    ) -> Vec<(usize, String, &'a str)> {
        let mut found = Vec::new();
        for Rule { pattern, instead } in rules {
            for at in pattern.places(words) {
                let end = at + pattern.0.len();
                let is_fine = self.fine.iter().any(|fine| {
                    let mut places = fine.places(words).into_iter();
                    places.any(|place| place <= at && end <= place + fine.0.len())
                });
                if !is_fine {
                    let shown: Vec<&str> = words[at..end].iter().copied().flatten().collect();
                    found.push((at, shown.join(" "), instead.as_str()));
                }
            }
        }
        found
    }
}

impl Pattern {
    fn read(words: &str) -> Self {
        let alternatives = |word: &str| match word {
            "_" => Vec::new(),
            word => word.split('|').map(str::to_owned).collect(),
        };
        Self(words.split_whitespace().map(alternatives).collect())
    }

    /// Where it begins in `words`.
    fn places(&self, words: &[Option<&str>]) -> Vec<usize> {
        let windows = words.windows(self.0.len().max(1)).enumerate();
        windows
            .filter(|(_, window)| self.is(window))
            .map(|(at, _)| at)
            .collect()
    }

    fn is(&self, words: &[Option<&str>]) -> bool {
        self.0.len() == words.len()
            && self.0.iter().zip(words).all(|(alternatives, word)| {
                word.is_some_and(|word| alternatives.is_empty() || alternatives.iter().any(|it| it == word))
            })
    }
}

/// The findings as breaches, without those that a line permits. A permit must
/// give a reason, and something to permit.
fn permitted(file: &str, text: &str, found: BTreeSet<(usize, String)>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut open: Vec<(usize, bool)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some((_, reason)) = line.split_once(PERMIT) {
            open.push((number, false));
            if reason.trim_matches(|c: char| !c.is_alphanumeric()).is_empty() {
                breaches.push(Breach::new(file, number, format!("{PERMIT} needs a reason")));
            }
        }
    }
    for (line, text) in found {
        match open.iter_mut().find(|(at, _)| *at == line || at + 1 == line) {
            Some((_, is_used)) => *is_used = true,
            None => breaches.push(Breach::new(file, line, text)),
        }
    }
    let unused = open.iter().filter(|(_, is_used)| !is_used);
    breaches.extend(
        unused.map(|(line, _)| Breach::new(file, *line, format!("{PERMIT} permits nothing: remove it"))),
    );
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str) -> Vec<String> {
        let table = Table::read(
            "text told|untold = notified\ntext is no _ = is not a\nfine there is no _\nfine told apart\n\
             code stand in = fallback\ntype Tools = Services\nmod said = sanitize\nkey told_at\n",
        );
        table.check(file, text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn retired_words_are_found_in_comments_strings_and_names() {
        assert_eq!(
            found(
                "a.rs",
                "// It is\n// Told.\nfn untold_two(Tools: u8) { say(\"told {x}\") }\n/// `stand_in`, not stand in"
            ),
            [
                "a.rs:2: \"told\": say notified",
                "a.rs:3: \"Tools\": say Services",
                "a.rs:3: \"told\": say notified",
                "a.rs:3: \"untold\" in \"untold_two\": say notified",
                "a.rs:4: \"stand in\" in \"stand_in\": say fallback",
            ]
        );
    }

    #[test]
    fn ordinary_english_is_left_alone() {
        for text in [
            "told apart",
            "there is no way",
            "the tools",
            "use_tls is no: so be it",
            "He said so.",
        ] {
            assert_eq!(found("a.md", text), [""; 0], "{text}");
        }
        assert_eq!(found("a.rs", "fn are_told_apart() {}"), [""; 0]);
        assert_eq!(
            found("a.md", "it is no hex"),
            ["a.md:1: \"is no hex\": say is not a"]
        );
    }

    #[test]
    fn names_on_disk_stay() {
        assert_eq!(
            found("a.rs", r##"a("told_at"); b(r#"{"told_at": 1, "untold": 2}"#)"##),
            ["a.rs:1: \"untold\": say notified"]
        );
    }

    #[test]
    fn files_are_named_in_todays_words_too() {
        assert_eq!(
            found("a/said.rs", ""),
            ["a/said.rs:1: the file's name: \"said\": say sanitize"]
        );
        assert_eq!(
            found("a/told_twice.rs", ""),
            ["a/told_twice.rs:1: the file's name: \"told\" in \"told_twice\": say notified"]
        );
    }

    #[test]
    fn a_permit_needs_a_reason_and_a_use() {
        let permit = |reason: &str| format!("// {PERMIT} {reason}\nlet told = \"told\";\n");
        assert_eq!(found("a.rs", &permit("the column's name")), [""; 0]);
        let found_without = found("a.rs", &permit(""));
        assert_eq!(found_without.len(), 1, "{found_without:?}");
        assert!(found_without[0].ends_with("needs a reason"), "{found_without:?}");
        let unused = found("a.toml", &format!("# {PERMIT} a reason\n\n"));
        assert!(unused[0].ends_with("permits nothing: remove it"), "{unused:?}");
    }

    #[test]
    fn the_table_is_complete() {
        let list = include_str!("words.txt");
        for line in list
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (kind, rest) = line.split_once(' ').unwrap();
            assert!(
                ["text", "code", "type", "mod", "key", "fine"].contains(&kind),
                "{line}"
            );
            let has_replacement = !["key", "fine"].contains(&kind);
            assert_eq!(rest.contains(" = "), has_replacement, "{line}");
        }
    }
}
