//! Retired words: `words.txt` lists them, with what is said instead.

use std::{collections::BTreeSet, sync::LazyLock};

use super::{
    Breach,
    prose::{self, Content},
};

/// With this and a reason in a comment, its line and the next may use a retired
/// word. Written in two parts, so that this file contains no permit.
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

/// Consecutive words, each as a list of alternatives; an empty list matches any word.
struct Pattern(Vec<Vec<String>>);

/// The breaches of one file. The ending of its name decides how it is read.
pub(super) fn check(file: &str, text: &str) -> Vec<Breach> {
    TABLE.check(file, text)
}

impl Table {
    /// Reads the list. A test checks that every line of it can be read.
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
        for (key, line) in content.keys.iter().filter(|(key, _)| !is_on_disk(key)) {
            found.extend(self.in_words(key, &[&self.text]).map(|text| (*line, text)));
        }
        let spans = content.spans.iter().filter(|(span, _)| !is_on_disk(span));
        for (name, line) in content.names.iter().chain(spans) {
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

    /// The breach of an identifier, if it has a retired word.
    fn in_name(&self, name: &str) -> Option<String> {
        if let Some(rule) = self.types.iter().find(|rule| rule.pattern.is(&[Some(name)])) {
            return Some(format!("\"{name}\": say {}", rule.instead));
        }
        self.in_words(name, &[&self.text, &self.code])
    }

    /// The breach of an identifier's words against lists of rules.
    fn in_words(&self, name: &str, rules: &[&[Rule]]) -> Option<String> {
        let words = prose::split(name);
        let words: Vec<Option<&str>> = words.iter().map(|word| Some(word.as_str())).collect();
        let rules = rules.iter().copied().flatten();
        let (_, shown, instead) = self.matches(rules, &words).into_iter().next()?;
        let whole = if name == shown {
            String::new()
        } else {
            format!(" in \"{name}\"")
        };
        Some(format!("\"{shown}\"{whole}: say {instead}"))
    }

    /// Index, words and replacement of each match that is not ordinary English.
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

    /// The indexes in `words` at which it begins.
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

/// The findings as breaches, without those that a line permits. A permit needs
/// a reason and something to permit.
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
            "text blue|unblue = purple\ntext had no _ = lacked a\nfine we had no _\nfine blue apart\n\
             code red in = orange\ntype Green = Yellow\nmod white = black\nkey blue_at\n",
        );
        table.check(file, text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn retired_words_are_found_in_comments_strings_and_names() {
        assert_eq!(
            found(
                "a.rs",
                "// It is\n// Blue.\nfn unblue_two(Green: u8) { say(\"blue {x}\") }\n/// `red_in`, not red in"
            ),
            [
                "a.rs:2: \"blue\": say purple",
                "a.rs:3: \"Green\": say Yellow",
                "a.rs:3: \"blue\": say purple",
                "a.rs:3: \"unblue\" in \"unblue_two\": say purple",
                "a.rs:4: \"red in\" in \"red_in\": say orange",
            ]
        );
    }

    #[test]
    fn ordinary_english_is_left_alone() {
        for text in [
            "blue apart",
            "we had no way",
            "the green",
            "use_tls had no: so be it",
            "He is white.",
        ] {
            assert_eq!(found("a.md", text), [""; 0], "{text}");
        }
        assert_eq!(found("a.rs", "fn are_blue_apart() {}"), [""; 0]);
        assert_eq!(
            found("a.md", "it had no hex"),
            ["a.md:1: \"had no hex\": say lacked a"]
        );
    }

    #[test]
    fn names_on_disk_stay() {
        assert_eq!(
            found("a.rs", r##"a("blue_at"); b(r#"{"blue_at": 1, "unblue": 2}"#)"##),
            ["a.rs:1: \"unblue\": say purple"]
        );
        assert_eq!(found("a.md", "`blue_at` is a key"), [""; 0]);
    }

    #[test]
    fn files_are_named_in_todays_words_too() {
        assert_eq!(
            found("a/white.rs", ""),
            ["a/white.rs:1: the file's name: \"white\": say black"]
        );
        assert_eq!(
            found("a/blue_twice.rs", ""),
            ["a/blue_twice.rs:1: the file's name: \"blue\" in \"blue_twice\": say purple"]
        );
    }

    #[test]
    fn a_permit_needs_a_reason_and_a_use() {
        let permit = |reason: &str| format!("// {PERMIT} {reason}\nlet blue = \"blue\";\n");
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
