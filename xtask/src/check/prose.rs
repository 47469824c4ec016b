//! Words of comments, strings, documents and identifiers.

use super::token::{self, Kind, Token};

/// Words with their lines; `None` is a break that no phrase spans, such as the
/// end of a sentence.
pub(super) type Words = Vec<Option<(String, usize)>>;

/// The words of a file: its prose and its identifiers.
#[derive(Default)]
pub(super) struct Content {
    /// Comments, strings and paragraphs, each by itself.
    pub(super) prose: Vec<Words>,
    /// Each identifier with its line.
    pub(super) names: Vec<(String, usize)>,
    /// Words alone in quotes, such as the keys of a file.
    pub(super) keys: Vec<(String, usize)>,
    /// Identifiers alone in backticks.
    pub(super) spans: Vec<(String, usize)>,
}

impl Content {
    pub(super) fn of_rust(text: &str) -> Self {
        let mut content = Self::default();
        content.rust(text, 0);
        content
    }

    /// A document. Blocks of Rust in it are code.
    pub(super) fn of_markdown(text: &str) -> Self {
        let mut content = Self::default();
        let (mut words, mut rust) = (Words::new(), None::<(usize, String)>);
        for (number, line) in (1..).zip(text.lines()) {
            let fence = line.trim_start().strip_prefix("```");
            match (&mut rust, fence) {
                (Some(_), Some(_)) => {
                    if let Some((first, code)) = rust.take() {
                        content.rust(&code, first);
                    }
                }
                (Some((_, code)), None) => {
                    code.push_str(line);
                    code.push('\n');
                }
                (None, Some("rust")) => rust = Some((number, String::new())),
                (None, Some(_)) => words.push(None),
                (None, None) => {
                    if line.trim().is_empty() || line.trim_start().starts_with(['-', '|', '#', '>']) {
                        words.push(None);
                    }
                    content.read(line, number, Source::Plain, &mut words);
                }
            }
        }
        content.prose.push(words);
        content
    }

    /// A file whose comments begin with `#`; all of it is read as prose.
    pub(super) fn of_hash_comments(text: &str) -> Self {
        let mut content = Self::default();
        let mut words = Words::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            let comment = line.trim_start_matches('#');
            if comment.len() == line.len() || comment.trim().is_empty() {
                words.push(None);
            }
            content.read(comment, number, Source::Plain, &mut words);
        }
        content.prose.push(words);
        content
    }

    /// Rust that begins after `above` lines.
    fn rust(&mut self, text: &str, above: usize) {
        let tokens = token::tokens(text);
        let mut words = Words::new();
        // The last line of the comment that `words` holds.
        let mut comment_end = 0;
        let mut at = 0;
        while at < tokens.len() {
            let token = tokens[at];
            let line = token.line + above;
            match token.kind {
                Kind::Comment => {
                    if token.line > comment_end + 1 {
                        self.prose.push(std::mem::take(&mut words));
                    }
                    comment_end = token.line + token.text.matches('\n').count();
                    let start = token.text.trim_start_matches(['/', '!', '*']);
                    self.read(start, line, Source::Plain, &mut words);
                }
                Kind::Text => {
                    let mut words = Words::new();
                    self.read(token.text, line, Source::Literal, &mut words);
                    self.prose.push(words);
                }
                Kind::Name => self.names.push((token.text.to_owned(), line)),
                Kind::Sign | Kind::Other => {}
            }
            at = after_serde(&tokens, at).unwrap_or(at + 1);
        }
        self.prose.push(words);
    }

    /// Splits `text` into words; what is code in it goes to the names.
    fn read(&mut self, text: &str, mut line: usize, source: Source, words: &mut Words) {
        let mut rest = text;
        let mut breaks_at_newline = false;
        while let Some(first) = rest.chars().next() {
            let mut length = first.len_utf8();
            if first == '\n' {
                line += 1;
                if breaks_at_newline {
                    words.push(None);
                }
                breaks_at_newline = true;
            } else if first == '`' {
                let inner = &rest[1..];
                let end = inner.find('`').unwrap_or(0);
                if inner[..end].chars().all(|c| c == '_' || c.is_alphanumeric()) {
                    self.spans.push((inner[..end].to_owned(), line));
                } else {
                    self.code(&inner[..end], line);
                }
                line += inner[..end].matches('\n').count();
                words.push(None);
                length = end + if end == 0 { 1 } else { 2 };
            } else if first == '\\' && source == Source::Literal {
                // A line break within a sentence is none; other escapes end it.
                let next = rest[1..].chars().next();
                if next != Some('\n') {
                    words.push(None);
                    length += next.map_or(0, char::len_utf8);
                }
            } else if first == '{' {
                // A placeholder stands for a word.
                let inner = rest[1..]
                    .find(['}', ' ', '"', '{', '\n'])
                    .map(|end| &rest[1..=end]);
                match inner.filter(|inner| rest[1 + inner.len()..].starts_with('}')) {
                    Some(inner) => {
                        words.push(Some(("{}".to_owned(), line)));
                        length = inner.len() + 2;
                    }
                    None => words.push(None),
                }
            } else if first.is_alphanumeric() || first == '_' {
                length = word_length(rest);
                let (before, after) = (&text[..text.len() - rest.len()], &rest[length..]);
                let is_alone = before.is_empty() && after.is_empty() && source == Source::Literal;
                if is_alone || (before.ends_with('"') && after.trim_start_matches('\\').starts_with('"')) {
                    self.keys.push((rest[..length].to_owned(), line));
                    words.push(None);
                } else {
                    self.word(&rest[..length], line, words);
                }
            } else if !first.is_whitespace() {
                words.push(None);
            }
            if !first.is_whitespace() {
                breaks_at_newline = false;
            }
            rest = &rest[length..];
        }
    }

    fn word(&mut self, word: &str, line: usize, words: &mut Words) {
        let word = word.trim_matches(['-', '\'', ':']);
        let is_code = word.contains('_')
            || word.contains("::")
            || word.ends_with(".rs")
            || word
                .as_bytes()
                .windows(2)
                .any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
        if is_code {
            self.code(word, line);
            words.push(None);
        } else if !word.is_empty() {
            let word = word.to_lowercase();
            let word = word.strip_suffix("'s").unwrap_or(&word);
            words.push(Some((word.to_owned(), line)));
        }
    }

    /// Code within prose: its identifiers.
    fn code(&mut self, code: &str, line: usize) {
        let tokens = token::tokens(code);
        let names = tokens.iter().filter(|token| token.kind == Kind::Name);
        self.names
            .extend(names.map(|token| (token.text.to_owned(), line + token.line - 1)));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Plain,
    /// A string literal, with its escapes.
    Literal,
}

/// The place after a serde attribute that begins at `at`: it holds names of
/// files on disk, which stay.
fn after_serde(tokens: &[Token<'_>], at: usize) -> Option<usize> {
    let end = token::attribute_end(tokens, at);
    let is_serde = end > at && tokens[at..end].iter().any(|token| token.is_name("serde"));
    is_serde.then_some(end)
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || ['_', '-', '\'', ':'].contains(&c)
}

/// The length of the word at the beginning of `text`: `a.rs` and `a::b` are
/// one, and `a:` and `a.` end before their sign.
fn word_length(text: &str) -> usize {
    let mut length = 0;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let goes_on = match c {
            '.' => characters.peek().is_some_and(|next| next.is_alphanumeric()) && length > 0,
            ':' => characters.peek() == Some(&':') || text[..length].ends_with(':'),
            c => is_word_part(c),
        };
        if !goes_on {
            break;
        }
        length += c.len_utf8();
    }
    length.max(text.chars().next().map_or(0, char::len_utf8))
}

/// The words of an identifier: "read file" for `ReadFile`, `read_file` and `READ_FILE`.
pub(super) fn split(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = '_';
    for c in name.chars() {
        let begins = c == '_' || (c.is_uppercase() && !before.is_uppercase());
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The prose as text, with `/` for a break and `|` between pieces.
    fn shown(content: &Content) -> String {
        let pieces: Vec<String> = content
            .prose
            .iter()
            .map(|words| {
                let mut words: Vec<&str> = words
                    .iter()
                    .map(|word| word.as_ref().map_or("/", |(word, _)| word.as_str()))
                    .collect();
                words.dedup();
                words.join(" ")
            })
            .filter(|piece| !piece.is_empty())
            .collect();
        pieces.join(" | ")
    }

    fn names(content: &Content) -> Vec<&str> {
        content.names.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn comments_run_over_lines_and_strings_stand_alone() {
        let content =
            Content::of_rust("/// Is\n/// blue, and\n/// more.\nlet a = \"b \\\n  c {d} \\n e\"; // F");
        assert_eq!(shown(&content), "b c {} / e | is blue / and more / | f");
        assert_eq!(names(&content), ["let", "a"]);
    }

    #[test]
    fn code_within_prose_is_read_as_names() {
        let content = Content::of_rust("// A `Blue` in rule/red.rs and `Event::Green`, no b::c.");
        assert_eq!(names(&content), ["red", "rs", "Event", "Green", "b", "c"]);
        assert_eq!(content.spans, [("Blue".to_owned(), 1)]);
    }

    #[test]
    fn documents_have_paragraphs_tables_and_code() {
        let text =
            "# A\nis\nblue\n\n| one | two |\n```rust\nlet Green = 1; // is red\n```\n```\nall red\n```\n";
        let content = Content::of_markdown(text);
        assert_eq!(shown(&content), "is red | / a is blue / one / two / all red /");
        assert_eq!(content.names, [("let".into(), 7), ("Green".into(), 7)]);
    }

    #[test]
    fn names_on_disk_are_left_out() {
        let content = Content::of_rust("#[serde(rename = \"blue\")] sent: u8, #[error(\"b c\")]");
        assert_eq!((shown(&content).as_str(), content.keys.len()), ("b c", 0));
    }

    #[test]
    fn words_in_quotes_alone_are_keys() {
        let content = Content::of_rust(r#"a("blue"); b("{\"seen\": 1}"); // "both" and "not this""#);
        let keys: Vec<&str> = content.keys.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["blue", "seen", "both"]);
    }

    #[test]
    fn identifiers_are_split_into_words() {
        assert_eq!(split("ReadFile"), ["read", "file"]);
        assert_eq!(split("is_blue_2"), ["is", "blue", "2"]);
        assert_eq!(split("MAX_HTTP"), ["max", "http"]);
    }
}
