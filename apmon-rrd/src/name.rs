//! The names of files.

mod mark;

/// The longest name of a monitor in a file's name, in bytes: what a file system allows (255)
/// less room for the suffixes (`-availability.step86400.damaged-12.rrd`) and for librrd's
/// temporary names.
const LONGEST: usize = 190;

/// The name of a monitor as APMonitor writes it in the names of files and targets: letters and
/// digits of any script, `_`, `-` and `.` stay, any other character becomes `_`.
///
/// ```
/// assert_eq!(apmon_rrd::safe_name("Zürich:x"), "Zürich_x");
/// assert_eq!(apmon_rrd::safe_name("日本 語"), "日本_語");
/// ```
#[must_use]
pub fn safe_name(name: &str) -> String {
    name.chars().map(|c| if is_kept(c) { c } else { '_' }).collect()
}

/// The name of a monitor's files, short enough for a file system. (APMonitor creates no file for
/// a longer name.)
pub(crate) fn file_stem(monitor: &str) -> String {
    let safe = safe_name(monitor);
    if safe.len() <= LONGEST {
        return safe;
    }
    let mut end = LONGEST;
    while !safe.is_char_boundary(end) {
        end -= 1;
    }
    // `~` occurs in no safe name, so that this cannot be another monitor's.
    format!("{}~{:016x}", &safe[..end], fnv(monitor))
}

/// What two names have in common that a file system without upper and lower case keeps in one file.
pub(crate) fn folded(stem: &str) -> String {
    stem.to_lowercase()
}

/// The characters of Python's `\w`, which are letters, numbers and `_`, and `-` and `.`.
fn is_kept(c: char) -> bool {
    matches!(c, '_' | '-' | '.') || (c.is_alphanumeric() && !mark::is_mark(c))
}

/// FNV-1a, 64 bits: the same in all versions and on all machines.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_safe_as_apmonitor_makes_them() {
        for (name, safe) in [
            ("web 1/a", "web_1_a"),
            ("Zürich:x", "Zürich_x"),
            ("日本 語", "日本_語"),
            ("é😀", "é_"),
            ("", ""),
            ("Büro-Switch", "Büro-Switch"),
            ("a b", "a_b"),
            ("../../etc", ".._.._etc"),
            ("x²½Ⅷ٣", "x²½Ⅷ٣"),
            // Vowel signs and circled letters are alphabetic for Rust, but no `\w` for Python.
            ("हिन्दी", "ह_न_द_"),
            ("Ⓐ", "_"),
            ("e\u{301}", "e_"),
            ("a\0b\nc", "a_b_c"),
        ] {
            assert_eq!(safe_name(name), safe, "{name:?}");
        }
    }

    #[test]
    fn a_name_too_long_for_a_file_system_is_cut_and_stays_distinct() {
        let long = "ü".repeat(200);
        let other = format!("{}x", "ü".repeat(200));
        let stem = file_stem(&long);
        assert!(stem.len() <= LONGEST + 17, "{stem}");
        assert_ne!(stem, file_stem(&other));
        assert_eq!(stem, file_stem(&long));
        assert_eq!(file_stem("short"), "short");
    }
}
