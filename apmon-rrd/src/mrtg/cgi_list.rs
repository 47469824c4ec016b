//! The list of configurations within `mrtg-rrd.cgi.pl`. The script has no configuration of its
//! own: each site's is entered in its text, in one of two forms.

mod token;

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use self::token::{Token, Tokens, quoted};

/// What became of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The new text of the script; `None` if the site is in its list already.
    pub script: Option<Vec<u8>>,
    /// Whether the list has sites, so that links can carry one. Older scripts have configurations
    /// alone.
    pub has_sites: bool,
    /// The configuration that the site had before, if that was another one.
    pub replaced: Option<String>,
}

/// Why a site cannot be entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The script has neither form of a list.
    #[error("it has neither %site_config = (...) nor @config_files = qw(...)")]
    NoList,
    /// The list is more than quoted texts.
    #[error("its list of configurations has more in it than quoted texts")]
    NotPlain,
    /// A list of words cannot hold the path.
    #[error("the path of the configuration has a character that its list of words cannot hold")]
    Path,
}

/// Enters a site and its configuration in the list of the script.
///
/// # Errors
/// If there is no list, or one that would not be the same afterwards.
pub fn cgi_list(script: &[u8], site: &str, cfg: &Path) -> Result<Listed, ListError> {
    let cfg = cfg.as_os_str().as_bytes();
    if let Some(list) = assigned(script, b"%site_config", b"(") {
        return of_sites(script, list, site.as_bytes(), cfg);
    }
    if let Some(list) = assigned(script, b"@config_files", b"qw") {
        return of_words(script, list, cfg);
    }
    Err(ListError::NoList)
}

/// Where the value of a variable begins: behind `start`. Comments are passed over.
fn assigned(script: &[u8], variable: &[u8], start: &[u8]) -> Option<usize> {
    let positions = (0..script.len()).filter(|&at| script[at..].starts_with(variable));
    let is_comment = |at: usize| {
        let line = script[..at].rsplit(|&byte| byte == b'\n').next();
        line.is_some_and(|line| line.contains(&b'#'))
    };
    positions.filter(|&at| !is_comment(at)).find_map(|at| {
        let mut rest = &script[at + variable.len()..];
        for part in [&b"="[..], start] {
            rest = rest.trim_ascii_start().strip_prefix(part)?;
        }
        Some(script.len() - rest.len())
    })
}

/// An entry: the texts, and how they are written in the script.
struct Entry {
    site: Vec<u8>,
    cfg: Vec<u8>,
    written: (Vec<u8>, Vec<u8>),
}

/// `%site_config = ('Home' => '/a.cfg', 'Office' => '/b.cfg');`, sorted by site, an entry to a
/// line.
fn of_sites(script: &[u8], list: usize, site: &[u8], cfg: &[u8]) -> Result<Listed, ListError> {
    let mut tokens = Tokens::new(&script[list..]);
    let mut entries: Vec<Entry> = Vec::new();
    let mut key: Option<(Vec<u8>, Vec<u8>)> = None;
    loop {
        match tokens.next().ok_or(ListError::NotPlain)? {
            Token::End => break,
            Token::Comma => {}
            Token::Text { text, written } => match key.take() {
                None => key = Some((text, written)),
                Some((site, site_written)) => entries.push(Entry {
                    site,
                    cfg: text,
                    written: (site_written, written),
                }),
            },
        }
    }
    if key.is_some() {
        return Err(ListError::NotPlain);
    }
    let end = list + tokens.position();
    let present = entries.iter().rev().find(|entry| entry.site == site);
    let replaced = present
        .map(|entry| entry.cfg.clone())
        .filter(|present| present != cfg);
    let mut listed = Listed {
        script: None,
        has_sites: true,
        replaced: replaced.map(|cfg| String::from_utf8_lossy(&cfg).into_owned()),
    };
    if present.is_some() && listed.replaced.is_none() {
        return Ok(listed);
    }
    entries.retain(|entry| entry.site != site);
    entries.push(Entry {
        site: site.to_vec(),
        cfg: cfg.to_vec(),
        written: (quoted(site), quoted(cfg)),
    });
    entries.sort_by(|a, b| a.site.cmp(&b.site));
    // As far to the right as the line that the list begins in.
    let line = script[..list]
        .rsplit(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let indent = &line[..line.len() - line.trim_ascii_start().len()];
    let mut new = script[..list].to_vec();
    for Entry {
        written: (site, cfg), ..
    } in &entries
    {
        for part in [b"\n", indent, b"    ", site, b" => ", cfg, b","] {
            new.extend_from_slice(part);
        }
    }
    new.push(b'\n');
    new.extend_from_slice(indent);
    new.extend_from_slice(&script[end..]);
    listed.script = Some(new);
    Ok(listed)
}

/// `@config_files = qw(/a.cfg /b.cfg);`, in the order in which they came.
fn of_words(script: &[u8], list: usize, cfg: &[u8]) -> Result<Listed, ListError> {
    let rest = &script[list..];
    let begin = rest.len() - rest.trim_ascii_start().len();
    let open = *rest.get(begin).ok_or(ListError::NoList)?;
    let close = match open {
        b'(' => b')',
        b'[' => b']',
        b'{' => b'}',
        b'<' => b'>',
        other => other,
    };
    let words = &rest[begin + 1..];
    let length = words
        .iter()
        .position(|&byte| byte == close)
        .ok_or(ListError::NotPlain)?;
    let words = &words[..length];
    if words.contains(&b'\\') || words.contains(&open) {
        return Err(ListError::NotPlain);
    }
    let mut listed = Listed {
        script: None,
        has_sites: false,
        replaced: None,
    };
    if words.split(u8::is_ascii_whitespace).any(|word| word == cfg) {
        return Ok(listed);
    }
    let cannot_be_in_word = |byte: &u8| byte.is_ascii_whitespace() || [open, close, b'\\'].contains(byte);
    if cfg.iter().any(cannot_be_in_word) {
        return Err(ListError::Path);
    }
    let end = list + begin + 1 + words.trim_ascii_end().len();
    let mut new = script[..end].to_vec();
    if !words.trim_ascii().is_empty() {
        new.push(b' ');
    }
    new.extend_from_slice(cfg);
    new.extend_from_slice(&script[end..]);
    listed.script = Some(new);
    Ok(listed)
}

#[cfg(test)]
mod tests;
