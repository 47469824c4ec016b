//! Rust source as tokens: enough of the grammar to separate code, comments and
//! strings, and to leave out test code.

/// One token and the line on which it begins, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An identifier or keyword; a raw one without its `r#`.
    Name,
    /// A string literal of any form, without its quotes.
    Text,
    /// A comment, with its slashes.
    Comment,
    /// `::`, or one character of any other punctuation.
    Sign,
    /// A number, a character, a byte or a lifetime.
    Other,
}

impl Token<'_> {
    pub(super) fn is_name(&self, name: &str) -> bool {
        self.kind == Kind::Name && self.text == name
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }
}

/// All tokens of a file, comments included.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer {
        text,
        at: 0,
        line: 1,
        tokens: Vec::new(),
    };
    while lexer.at < text.len() {
        lexer.step();
    }
    lexer.tokens
}

/// The tokens of the product: no comments, and no item under `#[cfg(test)]`.
pub(super) fn product_code(text: &str) -> Vec<Token<'_>> {
    let mut all = tokens(text);
    all.retain(|token| token.kind != Kind::Comment);
    let mut code = Vec::with_capacity(all.len());
    let mut at = 0;
    while at < all.len() {
        let end = attribute_end(&all, at);
        if end > at && is_for_tests(&all[at..end]) {
            at = item_end(&all, end);
        } else {
            code.push(all[at]);
            at += 1;
        }
    }
    code
}

/// The place after the attribute that begins at `at`, or `at` where none does.
pub(super) fn attribute_end(tokens: &[Token<'_>], at: usize) -> usize {
    let begins = tokens[at].is_sign("#") && tokens.get(at + 1).is_some_and(|next| next.is_sign("["));
    if begins { group_end(tokens, at + 1) } else { at }
}

/// The place after the bracket that closes the one at `at`.
pub(super) fn group_end(tokens: &[Token<'_>], at: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, token) in tokens[at..].iter().enumerate() {
        match bracket(token) {
            Some(true) => depth += 1,
            Some(false) if depth <= 1 => return at + offset + 1,
            Some(false) => depth -= 1,
            None => {}
        }
    }
    tokens.len()
}

/// Whether a token opens a bracket (`true`), closes one, or neither.
pub(super) fn bracket(token: &Token<'_>) -> Option<bool> {
    match (token.kind, token.text) {
        (Kind::Sign, "(" | "[" | "{") => Some(true),
        (Kind::Sign, ")" | "]" | "}") => Some(false),
        _ => None,
    }
}

/// `#[cfg(test)]` and `#[cfg(all(test, ...))]`.
fn is_for_tests(attribute: &[Token<'_>]) -> bool {
    let texts: Vec<&str> = attribute.iter().map(|token| token.text).collect();
    matches!(
        texts[..],
        ["#", "[", "cfg", "(", "test", ..] | ["#", "[", "cfg", "(", "all", "(", "test", ..]
    )
}

/// The place after the item, statement or field that begins at `at`.
fn item_end(tokens: &[Token<'_>], mut at: usize) -> usize {
    while at < tokens.len() && attribute_end(tokens, at) > at {
        at = attribute_end(tokens, at);
    }
    // Within an item's generics a comma ends nothing.
    const ITEMS: &[&str] = &[
        "pub", "fn", "struct", "enum", "impl", "trait", "async", "unsafe", "const", "static", "type", "let",
    ];
    let is_item = tokens
        .get(at)
        .is_some_and(|token| token.kind == Kind::Name && ITEMS.contains(&token.text));
    while let Some(token) = tokens.get(at) {
        match (bracket(token), token.text) {
            (Some(true), "{") => return group_end(tokens, at),
            (Some(true), _) => at = group_end(tokens, at),
            (Some(false), _) => return at,
            (None, ";") if token.kind == Kind::Sign => return at + 1,
            (None, ",") if token.kind == Kind::Sign && !is_item => return at + 1,
            (None, _) => at += 1,
        }
    }
    at
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn step(&mut self) {
        let rest = &self.text[self.at..];
        let Some(first) = rest.chars().next() else {
            return;
        };
        if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else if rest.starts_with("//") {
            self.push(Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
        } else if rest.starts_with("/*") {
            self.push(Kind::Comment, block_comment(rest));
        } else if let Some((open, close)) = string_start(rest) {
            self.string(open, &close);
        } else if let Some(length) = character(rest) {
            self.push(Kind::Other, length);
        } else if is_name_start(first) {
            if rest.starts_with("r#") {
                self.skip(2);
            }
            let rest = &self.text[self.at..];
            let length = rest.find(|c| !is_name_part(c)).unwrap_or(rest.len());
            self.push(Kind::Name, length);
        } else if first.is_ascii_digit() {
            self.push(Kind::Other, rest.find(|c| !is_name_part(c)).unwrap_or(rest.len()));
        } else if rest.starts_with("::") {
            self.push(Kind::Sign, 2);
        } else {
            self.push(Kind::Sign, first.len_utf8());
        }
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let text = &self.text[self.at..self.at + length];
        let line = self.line;
        self.tokens.push(Token { kind, text, line });
        self.skip(length);
    }

    fn skip(&mut self, length: usize) {
        self.line += self.text[self.at..self.at + length].matches('\n').count();
        self.at += length;
    }

    /// A string that `open` bytes begin and `close` ends.
    fn string(&mut self, open: usize, close: &str) {
        self.skip(open);
        let rest = &self.text[self.at..];
        let is_raw = close.len() > 1 || self.text[..self.at].ends_with("r\"");
        let mut end = rest.len();
        let mut is_escaped = false;
        for (at, byte) in rest.bytes().enumerate() {
            if is_escaped {
                is_escaped = false;
            } else if byte == b'\\' && !is_raw {
                is_escaped = true;
            } else if byte == b'"' && rest[at..].starts_with(close) {
                end = at;
                break;
            }
        }
        self.push(Kind::Text, end);
        self.skip(close.len().min(self.text.len() - self.at));
    }
}

fn is_name_start(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

fn is_name_part(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The length of a block comment; they nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Where `rest` begins a string: the length of what opens it, and what closes it.
fn string_start(rest: &str) -> Option<(usize, String)> {
    let prefix = ["br", "cr", "r", "b", "c", ""]
        .into_iter()
        .find(|prefix| rest.starts_with(prefix) && rest[prefix.len()..].starts_with(['"', '#']))?;
    let after = &rest[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    if !after[hashes..].starts_with('"') || (hashes > 0 && !prefix.contains('r')) {
        return None;
    }
    Some((prefix.len() + hashes + 1, format!("\"{}", "#".repeat(hashes))))
}

/// The length of a character, byte or lifetime.
fn character(rest: &str) -> Option<usize> {
    let prefix = usize::from(rest.starts_with("b'"));
    let inner = rest[prefix..].strip_prefix('\'')?;
    let first = inner.chars().next()?;
    if first == '\\' {
        // The character after the backslash may be a quote itself.
        return Some(prefix + 3 + inner.get(2..)?.find('\'')? + 1);
    }
    let length = first.len_utf8();
    if inner[length..].starts_with('\'') {
        return Some(prefix + length + 2);
    }
    let name = inner.find(|c| !is_name_part(c)).unwrap_or(inner.len());
    Some(prefix + 1 + name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        tokens(text)
            .iter()
            .map(|token| (token.kind, token.text))
            .collect()
    }

    fn code(text: &str) -> String {
        let texts: Vec<&str> = product_code(text).iter().map(|token| token.text).collect();
        texts.join(" ")
    }

    #[test]
    fn code_comments_and_strings_are_separated() {
        assert_eq!(
            kinds("a::b /* x /* y */ */ \"c \\\" d\" // e\nr#\"f \"g\"# b\"h\" r#type"),
            [
                (Kind::Name, "a"),
                (Kind::Sign, "::"),
                (Kind::Name, "b"),
                (Kind::Comment, "/* x /* y */ */"),
                (Kind::Text, "c \\\" d"),
                (Kind::Comment, "// e"),
                (Kind::Text, "f \"g"),
                (Kind::Text, "h"),
                (Kind::Name, "type"),
            ]
        );
    }

    #[test]
    fn characters_open_no_string() {
        assert_eq!(
            kinds(r#"'"' '\'' '\u{e9}' b'"' &'a x "s""#),
            [
                (Kind::Other, "'\"'"),
                (Kind::Other, r"'\''"),
                (Kind::Other, r"'\u{e9}'"),
                (Kind::Other, "b'\"'"),
                (Kind::Sign, "&"),
                (Kind::Other, "'a"),
                (Kind::Name, "x"),
                (Kind::Text, "s"),
            ]
        );
    }

    #[test]
    fn lines_are_counted_within_strings_and_comments() {
        let lines: Vec<usize> = tokens("/*\n*/ a \"\n\n\" b\nc")
            .iter()
            .map(|token| token.line)
            .collect();
        assert_eq!(lines, [1, 2, 2, 4, 5]);
    }

    #[test]
    fn raw_strings_have_no_escapes() {
        assert_eq!(kinds(r#"r"\" a"#), [(Kind::Text, r"\"), (Kind::Name, "a")]);
    }

    #[test]
    fn items_for_tests_are_left_out() {
        assert_eq!(
            code("#[cfg(test)] mod tests { fn a() {} } fn b() {}"),
            "fn b ( ) { }"
        );
        assert_eq!(code("#[cfg(test)]\n#[allow(x)]\nmod tests;\nuse a;"), "use a ;");
        assert_eq!(
            code("struct A { #[cfg(test)] b: u8, c: u8 }"),
            "struct A { c : u8 }"
        );
        assert_eq!(code("#[cfg(all(test, unix))] fn a<B, C>() {} d"), "d");
        assert_eq!(
            code("#[cfg(any(test, unix))] a"),
            "# [ cfg ( any ( test , unix ) ) ] a"
        );
    }
}
