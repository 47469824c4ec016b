//! The tokens of a list of quoted texts in Perl.

/// A token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// A text, and how it is written: in quotes, or a bare word before `=>`.
    Text { text: Vec<u8>, written: Vec<u8> },
    /// `,` or `=>`.
    Comma,
    /// `)`.
    End,
}

/// The tokens of a list behind its `(`. It ends at what is neither a token, a blank nor a comment.
pub(super) struct Tokens<'a> {
    list: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(list: &'a [u8]) -> Self {
        Self { list, at: 0 }
    }

    /// Where the last token begins, if it was the end.
    pub(super) fn position(&self) -> usize {
        self.at - 1
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.list.get(self.at) {
                Some(byte) if byte.is_ascii_whitespace() => self.at += 1,
                Some(b'#') => {
                    let rest = &self.list[self.at..];
                    self.at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Option<Token> {
        let begin = self.at;
        let mut text = Vec::new();
        self.at += 1;
        loop {
            let byte = *self.list.get(self.at)?;
            self.at += 1;
            match byte {
                byte if byte == quote => {
                    let written = self.list[begin..self.at].to_vec();
                    return Some(Token::Text { text, written });
                }
                b'\\' => {
                    let next = *self.list.get(self.at)?;
                    self.at += 1;
                    if quote == b'\'' && next != b'\'' && next != b'\\' {
                        text.push(byte); // within these quotes it is a character like others
                    } else if next.is_ascii_alphanumeric() {
                        return None; // a line feed, or a character by its number
                    }
                    text.push(next);
                }
                b'$' | b'@' if quote == b'"' => return None, // a variable's value
                byte => text.push(byte),
            }
        }
    }

    fn word(&mut self) -> Option<Token> {
        let rest = &self.list[self.at..];
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = rest.iter().position(|byte| !is_word(byte))?;
        let is_key = rest[length..].trim_ascii_start().starts_with(b"=>");
        if length == 0 || !is_key {
            return None;
        }
        self.at += length;
        let text = rest[..length].to_vec();
        Some(Token::Text {
            written: text.clone(),
            text,
        })
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blanks();
        let rest = &self.list[self.at..];
        let (token, length) = match *rest.first()? {
            b',' => (Token::Comma, 1),
            b'=' if rest.starts_with(b"=>") => (Token::Comma, 2),
            b')' => (Token::End, 1),
            quote @ (b'\'' | b'"') => return self.quoted(quote),
            _ => return self.word(),
        };
        self.at += length;
        Some(token)
    }
}

/// The text in single quotes, within which nothing but two characters has a meaning.
pub(super) fn quoted(text: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in text {
        if matches!(byte, b'\'' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    quoted.push(b'\'');
    quoted
}
